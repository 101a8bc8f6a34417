"""Preference pairs: how they are written, read and made from traces."""
