"""Tools as an environment: Python functions, MCP servers and LangChain tools that an agent calls in a conversation."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
