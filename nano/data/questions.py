"""Writes questions about a screen: the next action for a goal, the place of a label, the label at a place."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

from homeostat.actions import Action
from homeostat.agent.prompts import PromptStyle, act_prompt, write_action
from homeostat.envs.phone.device import Device
from homeostat.envs.phone.tasks.oracle import cell
from homeostat.envs.phone.tasks.rules import Rule
from homeostat.envs.phone.tasks.words import is_drawn
from homeostat.nano.data.examples import Question
from homeostat.nano.data.mix import Mix
from homeostat.observation import Observation
from homeostat.sensors.chat.wording import Wording

__all__ = ["QuestionWriter"]


class QuestionWriter:
    """Writes questions in the agent's own prompt style and prefers labels that it has seldom asked about.

    Args:
        rng: The random generator.
        style: The prompt style.
        mix: Gives the number of questions about labels and the share of reminders.
    """

    def __init__(self, rng: random.Random, style: PromptStyle, mix: Mix) -> None:
        self.rng, self.style, self.mix = rng, style, mix
        self._asked = Counter[str]()

    def act(
        self, goal: str, rules: tuple[Rule, ...], history: Sequence[str], seen: Observation, action: Action
    ) -> Question:
        """Asks for the next action.

        Args:
            goal: The goal.
            rules: The rules in force.
            history: The earlier actions, in the prompt's words.
            seen: The screen.
            action: The right answer.

        Returns:
            The question, in some cases with a reminder of the goal, of a rule or of the answer's form.
        """
        rng = self.rng
        reminder = ""
        if rng.random() < self.mix.reminders:
            texts = [
                f"the goal is: {goal}",
                "answer with one tool call.",
                *(f"keep to the rule: {r.text}" for r in rules),
            ]
            reminder = rng.choice(texts)
        prompt = act_prompt(
            self.style,
            goal=goal,
            rules=[r.text for r in rules],
            history=history,
            observation=seen,
            reminder=reminder,
        )
        return Question("act", prompt, write_action(self.style, action, seen))

    def labels(self, device: Device, rules: tuple[Rule, ...], seen: Observation) -> list[Question]:
        """Asks where labels are, and which label is at a place.

        Labels that were seldom asked about come first: the model soon knows by heart where a label is that every phone
        has, but has to look for words that only this phone holds.

        Args:
            device: The phone, whose labels are read.
            rules: The rules in force.
            seen: The screen.

        Returns:
            The questions. Labels that appear more than once are never asked about.
        """
        texts: dict[str, list[tuple[int, int]]] = {}
        for p in device.placed():
            if p.runs and p.widget.text:
                shown = " ".join(r.word for r in p.runs)
                if shown.startswith(p.widget.text):
                    texts.setdefault(p.widget.text, []).append(p.anchor)
        unique = [(text, at[0]) for text, at in texts.items() if len(at) == 1]
        grid = self.style.grid(seen)
        questions = []
        for kind, n in (("where", self.mix.where), ("what", self.mix.what)):
            unique.sort(key=lambda label: self.rng.random() ** (1 + self._asked[label[0]]), reverse=True)
            for text, at in unique[:n]:
                self._asked[text] += 1
                place = str(grid.spell(cell(*at)))
                asked, answer = (f"where is {text}?", place) if kind == "where" else (f"what is at {place}?", text)
                prompt = act_prompt(
                    self.style.model_copy(update={"goal": "{goal}", "order": ("screen", "goal")}),
                    goal=Wording.own(asked) if kind == "what" else asked,
                    rules=[r.text for r in rules],
                    history=(),
                    observation=seen,
                )
                drawn = kind == "where" and any(is_drawn(word) for word in text.split())
                questions.append(Question("find" if drawn else kind, prompt, answer))
        return questions
