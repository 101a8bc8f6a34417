"""Android over adb (a device, an emulator, or the phone simulator behind its daemon), and AndroidWorld's classes."""

import lazy_loader

from homeostat.envs.android.registration import register

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

register()
