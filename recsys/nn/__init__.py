"""Neural building blocks that know nothing of what they are trained for."""
