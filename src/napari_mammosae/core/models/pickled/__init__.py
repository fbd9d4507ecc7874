"""Reading pickled weights as data: containers, plain numpy values and tensors, and nothing that runs."""
