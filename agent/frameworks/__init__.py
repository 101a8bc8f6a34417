"""Other agent frameworks over our models: each file adapts one interface of LangChain, smolagents or pydantic-ai.

Importing this package is cheap: every name is loaded when it is first used, and most need the extra ``frameworks``.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
