"""Case rules, label mapping, recipe and fusion: many habits to one dataset."""
