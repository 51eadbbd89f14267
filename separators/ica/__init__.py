"""Independent component analysis: the separator, a file for each model of the mixing and for each step."""

from separators.ica.separator import ICA

__all__ = ["ICA"]
