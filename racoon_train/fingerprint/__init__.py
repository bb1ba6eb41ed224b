"""The federated fingerprint: what sites may know of each other's data before they train: sums, never a case."""
