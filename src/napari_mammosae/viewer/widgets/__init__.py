"""Qt pieces that docks share."""
