"""How models write tool calls, and how these are read: Hermes and Qwen, Llama, Mistral, Gemma, gpt-oss, plain JSON.

Importing this package is cheap: every name is loaded when it is first used.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
