"""Sparse autoencoders: their one generic form, and reading and writing the files of other tools."""
