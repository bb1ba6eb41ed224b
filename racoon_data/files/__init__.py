"""Files we write: NIfTI, sidecars, checksums, and writes that are whole or absent."""
