"""vLLM: span masses, alarms and steering inside vLLM's workers, and a model for agents over its engine.

Importing this package is cheap: every name is loaded when it is first used.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
