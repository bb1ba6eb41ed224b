"""The doctor of a PACS: what it really does, each finding a sentence with a remedy."""
