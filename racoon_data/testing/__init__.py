"""Synthetic DICOM makers, phantoms with known truth, and contract tests for plug-ins."""
