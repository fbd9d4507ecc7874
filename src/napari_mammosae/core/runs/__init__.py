"""A run: one pass of a model over a data set, as a folder of Parquet files that any tool can read."""
