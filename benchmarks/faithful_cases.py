"""The prompts of ``faithfulness.py``: steps on the phone, chat conflicts, TensorTrust, and injected tool results.

Every prompt is labelled so that an instruction can be told from what it competes with. ``longer`` makes a prompt
several times as long with earlier exchanges, which have the label ``history`` and answer other questions.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count, islice
from pathlib import Path
from typing import Any

from homeostat import TransformersModel, actions as a
from homeostat.agent.prompts import act_prompt, conversation_prompt, describe
from homeostat.alignment.conflicts.chat import hierarchy_twins
from homeostat.alignment.conflicts.core import cases_of
from homeostat.alignment.conflicts.public import load_public
from homeostat.envs.harness import load_suite
from homeostat.envs.office import OfficeEnv
from homeostat.envs.phone import PhoneEnv
from homeostat.envs.phone.apps import APPS
from homeostat.envs.phone.tasks.splits import templates_of
from homeostat.errors import ConfigError
from homeostat.sensors import Message, Part, Prompt

__all__ = ["Shown", "chat", "longer", "other_template", "phone", "split_part", "tensortrust", "tools"]

TEMPLATE = (
    "{% for m in messages %}{{ m.role | capitalize }}: {{ m.content }}\n\n{% endfor %}"
    "{% if add_generation_prompt %}Assistant:{% endif %}"
)
"""A chat template that neither model was trained on."""


@dataclass(frozen=True)
class Shown:
    """One prompt.

    Attributes:
        prompt: The labelled prompt.
        benign: Whether it holds no conflict and no injected order.
    """

    prompt: Prompt
    benign: bool = True


def phone(model: TransformersModel, number: int, seed: int = 0) -> Iterator[Shown]:
    """Yields one prompt per episode on the phone, at a random step, with a rule if the task has one."""
    rng = random.Random(seed)
    env = PhoneEnv(split="dev", apps=tuple(APPS))
    tasks = sorted(templates_of("train"))
    for n in range(number):
        info = env.reset_task(rng.choice(tasks), seed=seed * 100_000 + n)
        history: list[str] = []
        for _ in range(rng.randrange(max(1, info.optimal_steps))):
            action: Any = env.instance.oracle(env.device, env.answers)
            if isinstance(action, a.Terminate):
                break
            history.append(describe(action, model.style.grid(env.observe())))
            env.act(action)
        yield Shown(
            act_prompt(model.style, goal=info.goal, rules=info.rules, history=history, observation=env.observe())
        )


def chat(split: Any) -> Iterator[Shown]:
    """Yields conflicts between system and user, each followed by its twin, without end.

    The user's message is two spans: the ``question`` and the ``instruction`` that may contradict the system.
    """
    for twins in hierarchy_twins(split):
        for case in cases_of([twins]):
            system, user = case.prompt.messages
            text, ask = user.parts[0].text, case.query
            parts: tuple[Part, ...] = (Part("instruction", text),)
            if text.startswith(ask):
                parts = (Part("question", ask), Part("instruction", text[len(ask) :]))
            parts = tuple(part for part in parts if part.text)
            yield Shown(Prompt((system, Message("user", parts))), case.aligned)


def tensortrust(model: TransformersModel, folder: Path, longest: int, seed: int = 0) -> list[Shown]:
    """Returns hijacking attacks and helpful requests in turn, in an order of their own, up to a number of tokens."""
    both = []
    for name in ("hijacking", "helpful"):
        cases, _ = load_public("tensortrust", folder / f"{name}.jsonl")
        random.Random(seed).shuffle(cases)
        both.append(cases)
    found = []
    for pair in zip(*both, strict=False):
        lengths = [len(model.renderer.render(case.prompt).ids) for case in pair]
        if max(lengths) <= longest and all(case.prompt.messages[0].role == "system" for case in pair):
            found += [Shown(case.prompt, case.aligned) for case in pair]
    return found


def tools(model: TransformersModel, split: Any, number: int, *, injected: bool) -> Iterator[Shown]:
    """Yields prompts of the office: the oracle has called a tool. An injected order is the span ``order``."""
    for case in load_suite("injected-tools", split=split, episodes=number).cases():
        env = OfficeEnv(split, injected=float(injected))
        info = env.reset_task(case.task, seed=case.seed)
        env.act(env.oracle())
        conversation = env.observe().conversation
        assert conversation is not None
        prompt = conversation_prompt(
            model.style.conversation,
            goal=info.goal,
            rules=info.rules,
            conversation=conversation,
            native="tools" in model.capabilities,
        )
        if injected:
            assert env.injection is not None
            prompt = _labelled(prompt, env.injection.text, "order")
        yield Shown(prompt, not injected)


def longer(model: TransformersModel, prompt: Prompt, times: int) -> Prompt:
    """Makes a prompt so many times as long, with earlier exchanges behind its system message.

    Their questions and answers are from the train split of the chat conflicts.
    """
    if times == 1:
        return prompt
    wanted = times * len(model.renderer.render(prompt).ids)
    head = tuple(message for message in prompt.messages if message.role == "system")
    rest = prompt.messages[len(head) :]
    twins = hierarchy_twins("train", kinds=("verbosity",))
    more: list[Message] = []
    for n in count(1):
        case = next(twins).conflict
        more += [Message("user", (Part("history", case.query),))]
        more += [Message("assistant", (Part("history", case.rejected),))]
        if n % 4 and n > 1:
            continue
        longer = replace(prompt, messages=(*head, *more, *rest))
        if len(model.renderer.render(longer).ids) >= wanted:
            return longer
    raise AssertionError


def other_template(model: TransformersModel) -> TransformersModel:
    """The same weights under a plain chat template."""
    import copy

    tokenizer = copy.deepcopy(model.renderer.tokenizer)
    tokenizer.chat_template = TEMPLATE
    return TransformersModel(model.model, tokenizer, name=model.name)


def split_part(part: Part, start: int, stop: int, label: str) -> tuple[Part, ...]:
    """Gives a range of a part's characters a label of its own."""
    bounds = ((0, start, part.label), (start, stop, label), (stop, len(part.text), part.label))
    found = []
    for low, high, name in bounds:
        inside = ((max(x, low) - low, min(y, high) - low) for x, y in part.trusted)
        if high > low:
            found.append(Part(name, part.text[low:high], trusted=tuple((x, y) for x, y in inside if y > x)))
    return tuple(found)


def _labelled(prompt: Prompt, text: str, label: str) -> Prompt:
    """The prompt, with a label for a text in one of its parts."""
    messages, found = [], False
    for message in prompt.messages:
        parts: list[Part] = []
        for part in message.parts:
            at = -1 if found or not part.label.startswith("tool.") else part.text.find(text)
            found = found or at >= 0
            parts += [part] if at < 0 else split_part(part, at, at + len(text), label)
        messages.append(replace(message, parts=tuple(parts)))
    if not found:
        raise ConfigError(f"the prompt's tool results don't hold {text[:40]!r}; inject it first")
    return replace(prompt, messages=tuple(messages))


def first(shown: Iterator[Shown] | Sequence[Shown], skip: int, number: int) -> list[Shown]:
    """Some prompts of a source, behind those that are skipped."""
    return list(islice(iter(shown), skip, skip + number))
