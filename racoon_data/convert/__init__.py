"""Volumes to published NIfTI files."""
