"""Drawing and keeping boxes of findings."""
