"""Masks and findings from DICOM SEG, RTSTRUCT and structured reports, on the image grid."""
