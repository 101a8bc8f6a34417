"""Sensors: readings taken from one model call, and the attention probe that feeds them.

Names load on first use, so that importing the package needs neither torch nor transformers.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
