"""SAIL: adapters on focal layers alone, with a token-weighted preference loss."""
