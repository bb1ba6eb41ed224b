"""The commands of training, one module a group."""
