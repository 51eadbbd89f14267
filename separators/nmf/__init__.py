"""Non-negative matrix factorization: the separator, a file for each mode, the solver, drums, dictionaries."""

from separators.nmf.separator import NMF

__all__ = ["NMF"]
