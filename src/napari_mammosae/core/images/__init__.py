"""A mammogram: its pixels and facts, the model's input made from it, and where one lies in the other."""
