"""The command line: one module per room, loaded when named."""
