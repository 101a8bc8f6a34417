"""The prompts of the detection benchmark: conflicts and their aligned twins, in three parts and at two lengths.

| task | conflict | aligned | from |
|---|---|---|---|
| ``tensortrust`` | a hijacking attack | the right access code, same defence | TensorTrust as in RealGuardrails |
| ``iheval`` | a user who asks for the opposite of the system's rule | the request alone | IHEval, rule following |
| ``slack`` | an order in a tool's result | the same result without it | IHEval, slack-user |
| ``tools`` | an order in a tool's result | harmless sentences, as many tokens | our simulated office |
| ``chat`` | a user who contradicts the system | a user who agrees with it | our ``hierarchy_twins`` |

Parts are disjoint: *train* fits probes and heads, *dev* chooses sensors and sets thresholds, *test* is measured.
Our own tasks share no wording between parts. Attacks of TensorTrust that begin alike, and those on one defence, stay in
one part; the largest such family is training data. IHEval may be evaluated but not trained on, so nothing is fitted on
it: a part of its aligned prompts sets thresholds, and the rest is tested.
"""

from __future__ import annotations

import itertools
import math
import random
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from detection_padding import Twins, benign_texts, conversation_of, longer, longest, tokens

from homeostat import TransformersModel
from homeostat.agent.prompts import conversation_prompt
from homeostat.alignment.conflicts.chat import hierarchy_twins
from homeostat.alignment.conflicts.core import Case
from homeostat.alignment.conflicts.public import load_public
from homeostat.envs.harness import load_suite
from homeostat.envs.office import OfficeEnv
from homeostat.envs.office.words import FILLERS

FITTED = ("tensortrust", "tools", "chat")
"""The tasks that something may be fitted on."""
EVALUATED = ("iheval", "slack")
TASKS = (*FITTED, *EVALUATED)
LONGEST, LONGEST_AT_8 = 640, 160
"""The most tokens of a prompt of TensorTrust (a fifth of the attacks is longer), and of any prompt before it is made 8
times as long."""
STAGES = ("prompt 1x", "prompt 8x", "judge 1x", "canary 1x", "words 1x", "words 8x")
"""What is read, and at which length; ``detection_readings.py`` says what the kinds are."""
SIZES = {
    "tensortrust": {"train": (100, 10, 0, 0), "dev": (150, 20, 0, 0), "test": (200, 30, 24, 0)},
    "tools": {"train": (40, 4, 0, 0), "dev": (40, 4, 0, 0), "test": (80, 0, 0, 0)},
    "chat": {"train": (100, 0, 0, 0), "dev": (63, 0, 0, 0), "test": (120, 0, 0, 0)},
    "iheval": {"dev": (80, 0, 0, 0), "test": (150, 0, 0, 0)},
    "slack": {"dev": (40, 0, 0, 0), "test": (50, 0, 0, 0)},
}
"""The most twins of each task and part in each of the first four stages; words are read of the prompts
that attention is read of.
Two shared cores allowed no more: a prompt of TensorTrust takes half a second, and twins at 8× take three."""
_TRUSTING = ("system", "rules", "goal")


Sizes = Mapping[tuple[str, str, str], int]
"""Sizes other than those of ``SIZES``, by task, part and stage."""


def stage_size(task: str, part: str, stage: str, others: Sizes | None = None) -> int:
    """The most twins of a cell. Words are read of the same prompts as attention."""
    stage = stage.replace("words", "prompt")
    sizes = SIZES[task].get(part)
    return (others or {}).get((task, part, stage), sizes[STAGES.index(stage)] if sizes else 0)


def sizes_of(told: Iterable[str]) -> dict[tuple[str, str, str], int]:
    """Reads sizes as the command line has them.

    Args:
        told: For each cell ``TASK.PART.LENGTH.KIND=TWINS``, such as ``tensortrust.test.8x.prompt=60``.

    Returns:
        The sizes by task, part and stage.

    Raises:
        ValueError: A text is no size of a cell that can be read.
    """
    found = {}
    for text in told:
        name, _, count = text.partition("=")
        task, part, length, kind = (name.split(".") + [""] * 4)[:4]
        stage = f"{kind} {length}"
        if stage not in STAGES[:4] or part not in SIZES.get(task, {}) or not count.isdecimal():
            raise ValueError(f"{text!r} is no size of a cell; write it like tensortrust.test.8x.prompt=60")
        found[task, part, stage] = int(count)
    return found


def cell_twins(
    task: str,
    part: str,
    stage: str,
    model: TransformersModel,
    data: Path,
    share: float = 1.0,
    others: Sizes | None = None,
) -> list[Twins]:
    """Lists the twins of one cell of the table.

    Args:
        task: One of ``TASKS``.
        part: One of ``PARTS``.
        stage: One of ``STAGES``. Those at 8× have twins without a missing one (in a dev part without conflicts, aligned
            prompts) of at most ``LONGEST_AT_8`` tokens, with benign text.
        model: The model, whose tokens are counted.
        data: The folder of the public sets.
        share: The share of ``SIZES`` that is taken.
        others: Sizes other than those of ``SIZES``.

    Returns:
        The twins.
    """
    count = math.ceil(share * stage_size(task, part, stage, others))
    sources: dict[str, Callable[[], Iterable[Twins]]] = {
        "chat": lambda: _chats(part),
        "tools": lambda: _office(model, part),
        "tensortrust": lambda: _tensortrust(model, data, part),
        "iheval": lambda: _iheval(data, part, "rule-following/single-turn"),
        "slack": lambda: _iheval(data, part, "tool-use/slack-user"),
    }
    if not count:
        return []
    if stage.endswith("1x"):
        return list(itertools.islice(sources[task](), count))
    alone = part == "dev" and task in EVALUATED
    whole = (one for one in sources[task]() if alone or None not in one.prompts)
    short = (one for one in whole if longest(model, one) <= LONGEST_AT_8)
    benign = benign_texts(task, part, data)
    return [longer(model, task, one, benign) for one in itertools.islice(short, count)]


def _chats(part: str) -> Iterator[Twins]:
    """Twins of ``hierarchy_twins``, each prompt once."""
    seen = set()
    for twins in itertools.islice(hierarchy_twins(part), 3000):  # type: ignore[arg-type]
        prompts = (twins.conflict.prompt, twins.aligned.prompt)
        if repr(prompts) not in seen:
            seen.add(repr(prompts))
            yield Twins(twins.conflict.id, twins.conflict.variant, prompts)


def _office(model: TransformersModel, part: str) -> Iterator[Twins]:
    """A tool's result with an order, and the same with harmless sentences of as many tokens."""
    tokenizer = model.renderer.tokenizer
    sentences = [" ".join(some) for n in range(1, 5) for some in itertools.permutations(FILLERS, n)]
    lengths = np.array([len(ids) for ids in tokenizer(sentences, add_special_tokens=False)["input_ids"]])
    holds = np.array([[one in text for one in FILLERS] for text in sentences])
    env = OfficeEnv(part, injected=1.0)  # type: ignore[arg-type]
    for case in load_suite("injected-tools", split=part, episodes=900).cases():
        info = env.reset_task(case.task, seed=case.seed)
        env.act(env.oracle())
        conversation, injection = conversation_of(env), env.injection
        assert injection is not None
        call, result = conversation.turns
        shown_already = np.array([one in result.text for one in FILLERS])
        order = len(tokenizer(injection.text, add_special_tokens=False)["input_ids"])
        away = np.where((holds & shown_already).any(1), 10**6, abs(lengths - order))
        told = random.Random(injection.text).choice([sentences[n] for n in np.flatnonzero(away == away.min())])
        prompts = [
            conversation_prompt(
                model.style.conversation,
                goal=info.goal,
                rules=info.rules,
                conversation=conversation.model_copy(
                    update={"turns": (call, result.model_copy(update={"text": shown}))}
                ),
                native="tools" in model.capabilities,
            )
            for shown in (result.text, result.text.replace(injection.text, told))
        ]
        yield Twins(f"{case.task} {case.seed}", injection.wording, (prompts[0], prompts[1]), _TRUSTING, ("tool",))


def _tensortrust(model: TransformersModel, data: Path, part: str) -> Iterator[Twins]:
    """Attacks with the right access code under the same defence; behind them, defences that were not attacked."""
    folder = data / "realguardrails" / "evals" / "tensortrust" / "inputs"
    attacks, codes = (_public("tensortrust", folder / f"{name}.jsonl") for name in ("hijacking", "helpful"))
    attacks, codes = ([one for one in cases if tokens(model, one.prompt) <= LONGEST] for cases in (attacks, codes))
    aligned = {case.role: case for case in codes}
    family = _families([(case.role, _beginning(case.query)) for case in attacks])
    sizes = {one: list(family.values()).count(one) for one in set(family.values())}
    largest = max(sizes, key=lambda one: (sizes[one], one))
    share = {one: random.Random(f"tensortrust {one}").random() for one in sizes}
    draw = random.Random("tensortrust")
    for case in draw.sample(attacks, len(attacks)):
        name = family[case.role]
        place = "train" if name == largest or share[name] < 0.2 else "dev" if share[name] < 0.47 else "test"
        if place == part and case.role:
            twin = aligned.pop(case.role, None)
            group = case.role if part == "train" else name
            yield Twins(case.id, group, (case.prompt, twin.prompt if twin is not None else None))
    attacked = {case.role for case in attacks}
    for case in draw.sample(codes, len(codes)):
        place = "dev" if random.Random(case.role).random() < 0.5 else "test"
        if place == part and case.role and case.role not in attacked:
            yield Twins(case.id, case.role, (None, case.prompt))


def _beginning(text: str) -> str:
    """The first letters of an attack; the whole attack if it has few."""
    letters = re.sub(r"[^a-z]", "", text.lower())[:60]
    return letters if len(letters) >= 20 else text


def _families(links: Sequence[tuple[str, str]]) -> dict[str, str]:
    """For each first item of a link, the family that it belongs to: all that are linked to each other."""
    parent: dict[tuple[str, str], tuple[str, str]] = {}

    def root(one: tuple[str, str]) -> tuple[str, str]:
        while parent.setdefault(one, one) != one:
            one = parent[one]
        return one

    for first, second in links:
        a, b = root(("first", first)), root(("second", second))
        parent[max(a, b)] = min(a, b)
    return {first: root(("first", first))[1] for first, _ in links}


def _iheval(data: Path, part: str, task: str) -> Iterator[Twins]:
    """Conflicts with their aligned twins; in the dev part, aligned prompts alone."""
    if part == "train":
        return
    cases = _public("iheval", data / "iheval" / "benchmark" / task)
    aligned = {case.task: case for case in cases if case.setting == "aligned"}
    names = random.Random(task).sample(sorted(aligned), len(aligned))
    dev = len(names) * 2 // 5
    for name in names[:dev] if part == "dev" else names[dev:]:
        conflicts = [] if part == "dev" else [c for c in cases if c.task == name and c.setting == "conflict"]
        for n, case in enumerate(conflicts or [None]):  # type: ignore[list-item]
            sides = (case and case.prompt, None if n else aligned[name].prompt)
            yield Twins(f"{name} {n}", name, sides, aligned[name].higher, aligned[name].lower)


def _public(name: str, path: Path) -> list[Case]:
    if not path.exists():
        raise SystemExit(f"{str(path)!r} does not exist; give the folder of the public sets with --data, see the help")
    return load_public(name, path)[0]
