"""The attention probe: reads span masses and steers attention inside a model's own attention call."""
