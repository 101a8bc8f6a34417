"""An OpenAI-compatible endpoint over a local model, with the agent's loop inside each request.

Importing this package is cheap: every name is loaded when it is first used. It needs the extra ``serve``.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
