"""MiniWoB++, a web benchmark of 128 small pages, in a headless Chromium as an environment."""

import lazy_loader

from homeostat.envs.miniwob.registration import register

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

register()
