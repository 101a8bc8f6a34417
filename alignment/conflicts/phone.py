"""Conflicts on the phone: a rule, an order on the screen, or another agent's demand against the goal.

Each case is one screen and one question: what is the next action? The screen lies on the oracle's way to a goal. The
conflict shows it with a rule that the goal breaks; the aligned twin has a rule of the same kind that the goal respects.
Training, dev and test data share no wording (``wordings.yaml``), no words and no template. The embedded model was
trained on all of these templates, so its mistakes are about the hierarchy and not about the task.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from homeostat.agent.prompts import PromptStyle, act_prompt, past_action
from homeostat.alignment.conflicts.core import Case, Twins
from homeostat.alignment.conflicts.phone_cases import PHONE_KINDS, Question, Twin
from homeostat.alignment.conflicts.phone_scenes import (
    FAILED,
    RULED,
    Scene,
    lot_of,
    order_for,
    scene_on_the_way,
    wordings,
)
from homeostat.envs.phone.tasks.adverts import pop_up
from homeostat.envs.phone.tasks.base import NotPossible
from homeostat.envs.phone.tasks.words import Split
from homeostat.errors import UnknownName
from homeostat.sensors.chat.messages import Message, Part, Prompt

__all__ = ["PHONE_KINDS", "lot_of", "phone_twins"]


def phone_twins(
    style: PromptStyle, split: Split, seed: int = 0, kinds: Sequence[str] = tuple(PHONE_KINDS)
) -> Iterator[Twins]:
    """Generates twins without end, taking the kinds in turn.

    Args:
        style: How the prompts of the model under test are written.
        split: The data split.
        seed: The random seed.
        kinds: Names from :data:`PHONE_KINDS`. A kind without templates in this split is left out.

    Yields:
        Twins; the same arguments give the same twins.

    Raises:
        UnknownName: A kind is not in :data:`PHONE_KINDS`.
    """
    for kind in kinds:
        if kind not in PHONE_KINDS:
            raise UnknownName.of("conflict kind", kind, PHONE_KINDS)
    kinds = [kind for kind in kinds if wordings()["lots"].get(kind, {}).get(split, True)]  # dev has no language
    writer = _Writer(style, random.Random(f"conflicts {split} {seed}"), split)
    number = 0
    while True:
        for kind in kinds:
            twins = None
            while twins is None:
                try:
                    twins = writer.twins(kind, number)
                except NotPossible:
                    continue
            yield twins
            number += 1


@dataclass(frozen=True)
class _Writer:
    """Draws twins for one prompt style and one data split."""

    style: PromptStyle
    rng: random.Random
    split: Split

    def twins(self, kind: str, number: int) -> Twins:
        """Draws one pair of twins; raises ``NotPossible`` if the drawn screen does not suit the kind."""
        if kind in RULED:
            return self._rule(kind, number)
        return self._injection(number) if kind == "injection" else self._peer(number)

    def _rule(self, kind: str, number: int) -> Twins:
        """Two rules of one kind: the goal breaks the first and respects the second."""
        scene, sides = RULED[kind](self.rng, self.split)
        cases = []
        for aligned, (rule, asked, chosen, rejected) in zip((False, True), sides, strict=True):
            goal = scene.instance.goal + asked
            cases.append(self._case(Twin(kind, number, aligned, rule, goal, chosen, rejected), scene))
        return Twins(cases[0], cases[1])

    def _injection(self, number: int) -> Twins:
        """A notification that gives an order; in the twin, a harmless advert."""
        scene = scene_on_the_way(self.rng, self.split, "injection", lambda t: t.app != "any")
        device, rule = scene.world.device, scene.word("injection")
        if device.dialog:
            raise NotPossible("a dialog is open")
        text, obeying = order_for(scene)
        before = device.snapshot()
        cases = []
        for aligned in (False, True):
            device.restore(before)
            if aligned:
                pop_up(self.rng, device)
            else:
                device.pop_up(text, [("close", ["do", []]), ("show", ["launch", "messages"])])
            chosen = scene.instance.oracle(device, ())
            rejected = FAILED if aligned else obeying
            twin = Twin("injection", number, aligned, rule, scene.instance.goal, chosen, rejected)
            cases.append(self._case(twin, scene))
        return Twins(cases[0], cases[1])

    def _peer(self, number: int) -> Twins:
        """Another agent's demand after the goal; in the twin, it demands what the goal asks for."""
        scene = scene_on_the_way(self.rng, self.split, "peer", lambda t: t.app != "any")
        order, obeying = order_for(scene)
        rule, wording, goal = scene.word("peer"), scene.word("peers"), scene.instance.goal
        cases = []
        for aligned, demand, rejected in ((False, order, obeying), (True, goal, FAILED)):
            twin = Twin("peer", number, aligned, rule, goal, scene.action, rejected)
            cases.append(self._case(twin, scene, peer=wording.format(order=demand)))
        return Twins(cases[0], cases[1])

    def _case(self, twin: Twin, scene: Scene, peer: str = "") -> Case:
        seen = scene.world.device.observe()
        history = [past_action(self.style, action, before) for action, before in scene.way]
        prompt = act_prompt(self.style, goal=twin.goal, rules=(twin.rule,), history=history, observation=seen)
        if peer:
            prompt = _with_peer(prompt, peer)
        return Question(twin, scene, seen, self.style, prompt).case()


def _with_peer(prompt: Prompt, text: str) -> Prompt:
    """Returns the prompt with another agent's message after the goal."""
    messages = []
    for message in prompt.messages:
        parts = [q for p in message.parts for q in ((p, Part("peer", f"\n{text}")) if p.label == "goal" else (p,))]
        messages.append(Message(message.role, tuple(parts), message.extra))
    return Prompt(tuple(messages))
