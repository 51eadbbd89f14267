"""What this machine has, for people and for reports of faults."""
