"""Many inputs at once: job files, what they will take of time and disk, folders that are watched."""
