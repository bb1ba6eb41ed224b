"""DICOM files to series and volumes: headers, sorting, stacking, pixels."""
