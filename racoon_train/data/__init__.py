"""Datasets to batches: manifest, cache, transforms, loaders."""
