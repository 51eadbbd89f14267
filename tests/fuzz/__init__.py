"""Mutated files of every kind that comes from anywhere: no exception but the expected, no hang, no gigabyte.

``make fuzz`` runs ten thousand mutations of each kind; the suite runs a few hundred.
"""
