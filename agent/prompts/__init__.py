"""The agent's prompts, and the styles that word them.

Every part of a :class:`~homeostat.sensors.Prompt` has a span label: ``system``, ``rules``, ``goal``, ``plan``,
``reminder``, ``history``, ``screen``, ``elements``, and others. A :class:`PromptStyle` holds the wording. A model's
folder may hold its own style as ``homeostat.json``, as nano's does, because nano was trained on exactly that wording.
Any other model gets :data:`VERBOSE`.

Only what the style itself writes is trusted, character by character (see :mod:`homeostat.sensors.chat.wording`): its
literal text, the separators and the points of actions. Goals, rules, typed texts and elements are foreign; the renderer
lets no control token of the model pass in them.

Importing this package is cheap: every name is loaded when it is first used.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
