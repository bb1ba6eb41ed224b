"""The site folder: paths, ledger, audit chain and lock."""
