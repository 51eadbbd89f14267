"""Jobs: what to do, doing it, many of them."""
