"""Clean files: FITS sets joined and split, headers mended, checksums kept, and a report of what is wrong."""
