"""Controllers: they turn readings into decisions, which the control loop carries out. They know no model."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
