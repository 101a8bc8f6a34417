"""Preference pairs: their form on disk, and how they are mined from traces."""
