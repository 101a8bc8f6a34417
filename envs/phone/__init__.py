"""A simulated phone in this process: apps over one database, tasks with exact checks, and an oracle.

By default the basic apps are installed; the others are installed on request (see :class:`.env.PhoneEnv`).
"""

import lazy_loader

from homeostat.envs.phone.registration import register

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

register()
