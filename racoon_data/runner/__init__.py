"""Many items to many outcomes: the one place that catches errors."""
