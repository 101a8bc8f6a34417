"""Training of the embedded models.

- ``from_scratch``, ``phone``, ``miniwob``, ``planner``: the ways to train, one module each. ``phone`` and ``miniwob``
  share ``fine_tuning``; ``stages`` says what training from scratch shows when.
- ``loop``: the training loop of them all. ``optimisers``, ``muon``: its optimisers.
- ``losses``, ``guidance``: what is minimised. ``batches``: batches of phone screens. ``evaluation``: held-out answers.
"""
