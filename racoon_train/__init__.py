"""Training on racoon datasets: local, ensemble, pooled and federated, and an honest comparison."""
