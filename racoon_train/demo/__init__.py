"""The whole walk on one machine: synthetic hospitals, real PACS traffic, a real aggregator."""
