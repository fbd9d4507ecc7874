"""What every other package stands on: errors, files written whole, names, provenance, tables, texts, progress."""
