"""The prompt that lets a model read a rule of the episode, for a controller that asks for it."""

from __future__ import annotations

from homeostat.sensors.chat.messages import Message, Prompt
from homeostat.sensors.chat.wording import Wording, fill

__all__ = ["rule_prompt"]

_SYSTEM = """\
You read a rule that a user gave to an agent on a phone. What must the agent not do? Reply with JSON only.
"means": what the agent must not do, in plain words: delete, buy, send, create, call, or use an app. "objects": what \
the prohibition is limited to; empty for everything. "exceptions": what the rule still allows.
A rule that is only about style or speed, that asks for an action or allows it, forbids nothing."""
_EXAMPLES = (
    ("my pictures must all survive", "the agent must not delete pictures", "gallery", ""),
    ("not a cent leaves my account", "the agent must not buy anything", "", ""),
    ("be brief", "this is only style", "", ""),
    ("talk to nobody but my mother", "the agent must not send anything", "", "but my mother"),
    ("never throw anything away", "the agent must not delete anything", "", ""),
    ("you may delete old photos", "deleting is allowed", "", ""),
    ("I cannot afford anything", "the agent must not buy anything", "", ""),
    ("the mail app is none of your business", "the agent must not use the mail app", "", ""),
    ("give no sign of life", "the agent must not send anything", "", ""),
    ("answer every mail", "sending is asked for", "", ""),
    ("there are enough notes already", "the agent must not create notes", "notes", ""),
    ("I need each of these files", "the agent must not delete files", "files", ""),
)


def rule_prompt(rule: str) -> Prompt:
    """Builds the prompt that asks what a rule forbids, with examples of rules and answers.

    Args:
        rule: The rule's text.

    Returns:
        The prompt. The rule is in the span ``rules``.
    """
    messages = [Message("system", (Wording.own(_SYSTEM).part("system"),))]
    for text, *answer in _EXAMPLES:
        messages.append(Message("user", (Wording.own(f"The rule: {text}").part("system"),)))
        messages.append(Message("assistant", (Wording.own(_answer(*answer)).part("system"),)))
    messages.append(Message("user", (fill("The rule: {rule}", rule=rule).part("rules"),)))
    return Prompt(tuple(messages))


def _answer(means: str, *names: str) -> str:
    """An answer as it is decoded under the schema."""
    objects, exceptions = (f'["{name}"]' if name else "[]" for name in names)
    return f'{{"means": "{means}", "objects": {objects}, "exceptions": {exceptions}}}'
