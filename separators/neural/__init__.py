"""Neural separators: one backbone, small heads, inference, and the trained weights."""
