"""Other tools' exports: readers, the mapping file, and linking them like any annotation."""
