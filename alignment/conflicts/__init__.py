"""Instructions that can't both be followed, each with an aligned twin."""
