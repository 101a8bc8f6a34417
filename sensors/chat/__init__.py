"""Labelled chats: messages whose parts have span labels, rendered with any model's own chat template.

- ``messages``: ``Prompt``, ``Message`` and ``Part``, plain data.
- ``part_positions``: finds the characters of every part in the text that a chat template renders.
- ``wording``: texts that remember which of their characters the prompt style wrote.
- ``control_tokens``: the control tokens of a tokenizer, and the mark that breaks them up.
- ``boundaries``: keeps foreign text from becoming control tokens.
- ``tools``, ``pictures``: tools and images of a chat, in transformers' and OpenAI's formats.
- ``fields``, ``tool_positions``: the characters that a template takes from other fields, and those about the tools.
- ``templating``: follows a model's chat template.
- ``rendering``: ``Renderer``, which turns a prompt into a model's inputs, with the token ranges of every label.
- ``rendered``, ``batches``, ``token_ranges``: what it returns, one prompt or a batch, and how characters become tokens.
"""
