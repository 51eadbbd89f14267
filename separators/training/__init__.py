"""Training of the neural separators: data, mixing on the fly, losses, the trainer, recipes.

from separators.training.recipes import train
train("pit", Path("recordings"), Path("pit.safetensors"))
"""
