"""Pairs of instructions that can't both be followed, each with an aligned twin in which they agree."""
