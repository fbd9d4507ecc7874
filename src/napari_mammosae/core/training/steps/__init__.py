"""What a step of a training is: losses, gradients, and how a GPU takes it."""
