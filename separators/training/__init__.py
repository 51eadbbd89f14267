"""Training of the neural separators: data, mixing on the fly, losses, the trainer, recipes."""
