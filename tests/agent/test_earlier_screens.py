"""Prompts that hold the screenshots of earlier steps: which, in what order, after a resume, and shown once more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from homeostat.agent import Agent, TransformersModel
from homeostat.agent.prompts import VERBOSE, act_prompt
from homeostat.controllers import Candidate, ControlContext, Reconsider, Reminder
from homeostat.envs.phone import PhoneEnv
from homeostat.observation import Observation
from homeostat.sensors import Reading, SpanReading
from homeostat.sensors.chat.messages import Prompt

SHADES = tuple(np.full((32, 24, 3), shade, np.uint8) for shade in (10, 20, 30))


def images_of(prompt: Prompt) -> list[tuple[str, Any]]:
    return [(part.label, part.image) for m in prompt.messages for part in m.parts if part.image is not None]


def test_they_stand_before_the_present_one_and_may_be_shown_again() -> None:
    seen = Observation(SHADES[-1], (), "notes")
    ask: dict[str, Any] = {"goal": "g", "rules": (), "history": (), "observation": seen, "earlier": SHADES[:2]}
    assert [label for label, _ in images_of(act_prompt(VERBOSE, **ask))] == ["screen-2", "screen-1", "screen"]
    again = images_of(act_prompt(VERBOSE, **ask, reminder="look", shown=("screen-2",)))
    assert [label for label, _ in again] == ["screen-2", "screen-1", "screen", "evidence"]
    assert again[-1][1] is SHADES[0]


class _Watched(TransformersModel):
    """nano, whose prompts are looked at on their way."""

    asked: list[Prompt]

    def generate(self, prompt: Prompt, **settings: Any) -> Any:
        self.asked.append(prompt)
        return super().generate(prompt, **settings)


def watched(screens: int) -> _Watched:
    model = _Watched.load("homeostat/nano")
    assert isinstance(model, _Watched)
    model.style = model.style.model_copy(update={"screens": screens})
    model.asked = []
    return model


def check(model: _Watched, shown: list[Any], steps: list[int]) -> None:
    """Every prompt's images are the last screenshots up to its step, oldest first."""
    assert len(model.asked) == len(steps)
    for prompt, step in zip(model.asked, steps, strict=True):
        images = images_of(prompt)
        wanted = shown[max(0, step - 2) : step + 1]
        assert [label for label, _ in images] == ["screen-2", "screen-1", "screen"][-len(wanted) :]
        for (_, image), screenshot in zip(images, wanted, strict=True):
            assert np.array_equal(image, screenshot)


def test_every_prompt_holds_the_last_ones_also_after_a_resume(tmp_path: Path) -> None:
    env, model, folder = PhoneEnv(split="dev"), watched(3), tmp_path / "run"
    shown: list[Any] = []
    steps: list[int] = []

    def see(event: Any) -> None:
        if event.kind == "observe" and event.step == len(shown):
            shown.append(event.screenshot)
        elif event.kind == "sense":
            steps.append(event.step)

    with Agent(model).start(env.reset_task("notes_add", seed=1), env, seed=1, run_folder=folder) as run:
        for event in run:
            see(event)
            if event.kind == "act" and event.step == 2:
                break
    check(model, shown, steps)
    later = watched(3)
    steps.clear()
    there = PhoneEnv(split="dev")
    for event in Agent(later).resume(folder, there):
        see(event)
    assert steps
    assert steps[0] >= 2
    check(later, shown, steps)


def test_reconsider_names_and_shows_the_one_that_lost_attention() -> None:
    def reading(mass: float) -> tuple[Reading, ...]:
        masses = {"screen": 0.4, "screen-1": mass, "screen-2": 0.1}
        by_span = {label: SpanReading(mass=m) for label, m in masses.items()}
        return (Reading(sensor="attention_drift", value=0.0, by_span=by_span),)

    from homeostat.actions import Answer

    said = [Candidate(text="", action=Answer(text=t), readings=reading(m)) for t, m in (("a", 0.3), ("b", 0.1))]
    asked = ControlContext(phase="candidates", goal="g", instruction="g", candidates=tuple(said))
    again = Reconsider(n=2, theta=1.0).decide([], asked)
    assert isinstance(again, Reminder)
    assert again.show == ("screen-1",)
    assert "the screen 1 steps back" in again.text
