"""Who obeys whom in a team: role adherence of each member, and a matrix of demands that were followed."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
