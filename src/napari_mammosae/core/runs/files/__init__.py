"""The files of a run: their places, columns, checks and the values of maps."""
