"""DICOMweb: QIDO-RS, WADO-RS and STOW-RS as a client (PS3.18)."""
