"""Checks on cases and the report people look at."""
