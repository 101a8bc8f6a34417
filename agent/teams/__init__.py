"""Several agents that work together: roles as data, a message bus, and turns by a fixed order or by a leader."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
