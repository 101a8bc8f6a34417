"""How a model keeps the hierarchy of its instructions."""
