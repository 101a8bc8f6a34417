"""Training data of the planner: long goals and their typed plans.

- ``corpus``: the stream of examples. ``batches``: examples as tokens.
- ``rules``: goals made by rule. ``ellipsis``: goals that leave out shared words. ``scenes``: hand-written goals.
- ``speech``, ``several``, ``phrases``: how tasks, values and comparisons are worded.
- ``goals/*.yaml``: the hand-written patterns. ``patterns``: how they are filled.
"""
