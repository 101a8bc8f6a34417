"""SAIL: an adapter on the focal layers only, trained with a token-weighted preference loss."""
