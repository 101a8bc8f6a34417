"""Measures how well a model follows the hierarchy of its instructions."""
