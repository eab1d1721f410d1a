"""Services on real databases, promise by promise."""
