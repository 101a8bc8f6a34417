"""Offline repair in the weights. For now: behaviour cloning, which makes the embedded model."""
