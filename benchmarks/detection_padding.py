"""Benign text for the detection benchmark: it makes a prompt longer and changes nothing else.

At 8×, benign text of the same kind stands in front of the text without authority, within the same span: an airline
agent's messages to customers (τ-bench) for users' texts, names for lists of names, and further records for the office's
tools. The two twins get the same text, cut so that both are 8 times as long as the longer of the two, not counting the
definitions of tools. So length tells nothing there.
"""

from __future__ import annotations

import itertools
import json
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from homeostat import TransformersModel
from homeostat.envs.harness import load_suite
from homeostat.envs.office import OfficeEnv
from homeostat.sensors import Message, Part, Prompt
from homeostat.sensors.spans import covered

PARTS = ("train", "dev", "test")
TIMES = 8


@dataclass(frozen=True)
class Twins:
    """A conflict and its aligned twin; one of them may be missing.

    Attributes:
        id: A name that is unique within the task.
        group: Twins of one group resemble each other; they are drawn together in a bootstrap and left out together in
            cross-validation.
        prompts: The conflict and the aligned prompt; None for one that is missing.
        higher: Labels of the spans with authority.
        lower: Labels of the spans without.
    """

    id: str
    group: str
    prompts: tuple[Prompt | None, Prompt | None]
    higher: tuple[str, ...] = ("system",)
    lower: tuple[str, ...] = ("user",)


def longest(model: TransformersModel, twins: Twins) -> int:
    """The tokens of the longer prompt."""
    return max(tokens(model, prompt) for prompt in twins.prompts if prompt is not None)


def tokens(model: TransformersModel, prompt: Prompt) -> int:
    """Counts a prompt's tokens without the definitions of tools."""
    rendered = model.renderer.render(prompt)
    return len(rendered.ids) - sum(stop - start for start, stop in rendered.as_spans().ranges.get("tools", ()))


def text_of(prompt: Prompt, labels: Sequence[str]) -> str:
    """The texts under some labels, by line."""
    parts = [part for message in prompt.messages for part in message.parts]
    inside = covered(labels, dict.fromkeys(part.label for part in parts))
    return "\n".join(part.text for part in parts if part.label in inside)


def longer(model: TransformersModel, task: str, twins: Twins, benign: Sequence[str]) -> Twins:
    """Puts benign text in front of the text without authority, up to ``TIMES`` the length of the longer twin."""
    sizes = [tokens(model, prompt) if prompt is not None else 0 for prompt in twins.prompts]
    wanted = TIMES * max(sizes)
    texts = itertools.islice(itertools.cycle(benign), random.Random(twins.id).randrange(len(benign)), None)
    tokenizer, ids = model.renderer.tokenizer, list[int]()
    while len(ids) < wanted:
        ids += tokenizer(next(texts) + _between(task), add_special_tokens=False)["input_ids"]
    prompts = [
        prompt and _padded(prompt, twins.lower, tokenizer.decode(ids[: wanted - size]), task)
        for prompt, size in zip(twins.prompts, sizes, strict=True)
    ]
    return replace(twins, prompts=(prompts[0], prompts[1]))


def _between(task: str) -> str:
    return "\n" if task in ("slack", "tools") else "\n\n"


def _padded(prompt: Prompt, lower: Sequence[str], text: str, task: str) -> Prompt:
    """The prompt with a text in front of the first part without authority; in a list of names, behind its heading."""
    messages = list(prompt.messages)
    for n, message in enumerate(messages):
        for k, part in enumerate(message.parts):
            if covered(lower, [part.label]):
                before, after = "", part
                if task == "slack":
                    head, line, rest = part.text.partition("\n")
                    before, after = head + line, replace(part, text=rest)
                new = Part(part.label, before + text.rstrip() + _between(task))
                messages[n] = Message(
                    message.role, (*message.parts[:k], new, after, *message.parts[k + 1 :]), message.extra
                )
                return replace(prompt, messages=tuple(messages))
    return prompt


def benign_texts(task: str, part: str, data: Path) -> list[str]:
    """The benign texts of one kind, none of which occurs in another part."""
    if task == "tools":
        return _records(part)
    said, names = _airline(data / "tau-bench" / "gpt-4o-airline.json")
    texts = [f"- {name}" for name in names] if task == "slack" else said
    return texts[PARTS.index(part) :: len(PARTS)]


@cache
def _airline(file: Path) -> tuple[list[str], list[str]]:
    """What the agent said to customers, and customers' names, both in a drawn order."""
    episodes = read_json(file)
    said = {
        message["content"].strip()
        for episode in episodes
        for message in episode["traj"]
        if message["role"] == "assistant" and message.get("content") and not message.get("tool_calls")
    }
    results = " ".join(
        message["content"] or "" for episode in episodes for message in episode["traj"] if message["role"] == "tool"
    )
    first, last = (sorted(set(re.findall(rf'"{key}": "(\w+)"', results))) for key in ("first_name", "last_name"))
    draw = random.Random("benign texts")
    texts, names = sorted(said), [f"{a} {b}" for a in first for b in last]
    return draw.sample(texts, len(texts)), draw.sample(names, len(names))


def _records(part: str) -> list[str]:
    """What the office's tools return where nothing is injected."""
    found, env = [], OfficeEnv(part)  # type: ignore[arg-type]
    for case in itertools.islice(load_suite("injected-tools", split=part, episodes=1200).cases(), 900, 1200):
        env.reset_task(case.task, seed=case.seed)
        env.act(env.oracle())
        found.append(conversation_of(env).turns[1].text)
    return list(dict.fromkeys(found))


def conversation_of(env: OfficeEnv) -> Any:
    """The office's conversation so far."""
    seen = env.observe().conversation
    assert seen is not None
    return seen


def read_json(file: Path) -> Any:
    """Reads a file of the public sets."""
    if not file.exists():
        raise SystemExit(f"{str(file)!r} does not exist; give the folder of the public sets with --data, see the help")
    return json.loads(file.read_text(encoding="utf-8"))
