"""Metrics, comparison and the report."""
