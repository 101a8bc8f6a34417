"""The evaluation harness: suites, runners, a journal that survives interruptions, Ray workers, measures, comparisons.

The harness knows no model. A :class:`RunnerSpec` says how a worker process builds the runner that plays the episodes.
Importing this package is cheap, because every name is loaded on first use.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
