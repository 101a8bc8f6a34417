"""Attention steering: gives spans of the prompt more or less attention while the model runs.

- ``actuators``: the rules, as data: which span, which heads, how much. Controllers create them.
- ``binding``: resolves the rules against the spans of a run, and binds them to layers.
- ``reweighting``: applies the rules inside the probe's attention call.

``binding`` and ``reweighting`` need torch. Pass rules to ``Probe.start(spans, steer=[…])``, or to a model of the loop.
"""
