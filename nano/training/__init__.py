"""Training of the embedded models: the recipe, fine-tuning, losses and evaluation."""
