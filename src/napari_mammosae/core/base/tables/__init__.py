"""CSV files as people save them: their encoding and separators, their cells, and the lines these stand in."""
