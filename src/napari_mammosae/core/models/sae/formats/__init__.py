"""Files of sparse autoencoders, one module a format; each knows its own by their content."""
