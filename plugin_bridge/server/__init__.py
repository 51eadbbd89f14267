"""The small team server: pages of finished jobs, a queue with progress, jobs on files below one folder."""
