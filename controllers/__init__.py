"""Decisions from readings: remind, decompose, and what composes and checks them. Knows no model."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
