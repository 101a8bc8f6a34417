"""Attention steering: gives spans of the prompt more or less attention while the model runs.

- ``actuators``: the rules, as data: which span, which heads, how much. Controllers create them.
- ``informed_tokens``: PAINT's rule, and the image tokens that it is about.
- ``binding``: resolves the rules against the spans of a run, and binds them to layers.
- ``reweighting``: what the rules do to logits and weights, in the probe's attention call.
- ``parts``, ``runs``: apply the rules to parts of the keys, beside the fused kernel.
- ``channels``, ``moving``: the same where the kernel doesn't return what ``parts`` needs, as in training and on GPUs.
- ``settling``: finds what some rules depend on in a whole forward: sinks of each head, the mean mass of a span.

``binding`` and ``reweighting`` need torch. Pass rules to ``Probe.start(spans, steer=[…])``, or to a model of the loop.
"""
