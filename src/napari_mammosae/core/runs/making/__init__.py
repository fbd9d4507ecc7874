"""Making a run: decode, compute, write, resume, put together."""
