"""Labelled chats: messages whose parts have span labels, rendered with any model's own chat template.

- ``messages``: ``Prompt``, ``Message`` and ``Part``, plain data.
- ``part_positions``: finds the characters of every part in the text that a chat template renders.
- ``wording``: texts that remember which of their characters the prompt style wrote.
- ``control_tokens``: the control tokens of a tokenizer, and the mark that breaks them up.
- ``boundaries``: keeps foreign text from becoming control tokens.
- ``rendering``: ``Renderer``, which turns a prompt into a model's inputs, with the token ranges of every label.
"""
