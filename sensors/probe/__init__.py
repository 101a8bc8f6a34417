"""The attention probe: reads span masses, and steers attention, inside a transformers model's own attention call.

Use :func:`homeostat.sensors.watch`. ``docs/design/probe.md`` explains the method and what is refused.

- ``probe``: ``watch`` and ``Probe``, the public interface: attach, start a run, take its result.
- ``architectures``: which models can be read exactly, and where their attention layers are.
- ``generation``: compares the prompt that ``generate`` gets with the spans.
- ``attention_function``: the function that transformers calls in place of its own attention.
- ``explicit_attention``: softmax weights of a few rows, computed outside the fused kernel.
- ``recorder``, ``readout``, ``sinks``: what a run collects: span masses, further quantities, attention sinks.
- ``results``: turns what was collected into :class:`~homeostat.sensors.attempts.SpanMass`.
"""
