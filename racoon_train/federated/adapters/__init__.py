"""Thin, version-pinned layers over federation engines."""
