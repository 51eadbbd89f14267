"""Audacity projects (``.aup3``): an SQLite database of a binary XML document and blocks of samples."""
