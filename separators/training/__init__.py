"""Training of the neural separators: data, mixing on the fly, losses, the trainer, recipes.

``stembridge train`` is one call of:

from separators.training.recipes import train
train("pit", Path("recordings"), Path("pit.safetensors"))
"""
