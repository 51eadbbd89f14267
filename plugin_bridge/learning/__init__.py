"""What separators learn from, out of files and sessions: dictionaries, songs."""
