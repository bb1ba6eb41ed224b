"""From a hospital's PACS to a harmonized dataset: query, de-identify, annotate, convert, harmonize, check."""

__version__ = "0.1.0"
