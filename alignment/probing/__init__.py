"""Learned readings: linear probes on per-head attention masses, fitted on conflicts and their aligned twins."""
