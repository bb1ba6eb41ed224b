"""One site contract, real aggregators."""
