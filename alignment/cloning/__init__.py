"""Behaviour cloning: an adapter that takes the actions of an environment's built-in solution."""
