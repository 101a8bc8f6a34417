"""Homeostat: an agent runtime that watches its own attention and corrects itself.

Every name below is loaded when it is first used, so that importing this package is quick.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
