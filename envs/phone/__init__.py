"""A phone in this process: nine apps over one database, tasks with exact checks, an oracle."""

import lazy_loader

from homeostat.envs.phone.registration import register

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

register()
