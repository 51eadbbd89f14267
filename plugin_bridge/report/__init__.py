"""What people look at: spectrograms and pictures."""
