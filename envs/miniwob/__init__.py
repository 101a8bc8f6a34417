"""MiniWoB++, the web benchmark: 128 small pages in a headless Chromium, behind the phone's contract."""

import lazy_loader

from homeostat.envs.miniwob.registration import register

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

register()
