"""Watches attention entropy and the growth of logits during training, and warns before a collapse."""
