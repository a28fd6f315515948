"""Defects: what is wrong with the pixels of a frame, found CCD by CCD and over the whole mosaic."""
