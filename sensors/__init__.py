"""Sensors: readings of a single model call, and the attention probe that supplies their data.

- Shared types: ``attempts`` (a model call and its attention), ``spans``, ``context``, ``readings`` and ``contracts``
  (what a sensor is, and what it may ask of a model).
- ``probe`` reads attention while a model runs, ``steering`` changes it, and ``chat`` renders labelled prompts.
- Every other module holds one sensor, or tools for them: ``calibration``, ``check``, ``faithfulness``, ``heads``,
  ``impulse_response``, ``rubric``, ``span_evidence`` and ``trajectories``.

``docs/design/sensors.md`` lists the sensors. Names are loaded on first use, so importing the package needs neither
torch nor transformers.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
