"""Training data of the executor.

- ``screens``: screens of the phone with questions (``mix``, ``situations``, ``questions``; ``invented_*`` for apps that
  exist in training only).
- ``planner_questions``: goals with their subtasks (``compositions``, ``rewording``, ``goal_frames``).
- ``recordings``: screen recordings. ``web_screens``, ``web_collection``: web pages.
- ``examples``: the types of all examples. ``packing``: how examples become batches.
"""
