"""A dataset for other tools: one exporter a module, each a plug-in found by name."""
