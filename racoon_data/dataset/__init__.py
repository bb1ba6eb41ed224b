"""The dataset on disk: layout, manifest, splits, exporters."""
