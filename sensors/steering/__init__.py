"""Attention steering: what to change (actuators) and how it is computed."""
