"""What federated learning is compared with: local, ensemble and pooled training."""
