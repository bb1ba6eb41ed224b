"""Differential privacy of training: steps whose weights tell little of any one patient, and what was spent."""
