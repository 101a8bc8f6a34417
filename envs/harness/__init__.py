"""The evaluation harness: suites in YAML, runners, a journal that survives a kill, Ray workers, measures, comparisons.

It knows no model: a :class:`RunnerSpec` says how a worker builds whatever plays. Importing this package is cheap: every
name is loaded when it is first used.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
