"""CRAS: rubrics for role adherence, and the judge's scores read from its text.

The Contextualized Role Adherence Score (arXiv 2509.23188, whose authors ask for its withdrawal as an unfinished draft;
where its formulas can't be had, the definition is ours) has four dimensions:

- **GA** goal alignment, **RC** role consistency, **KBA** knowledge-boundary adherence, **CC** constraint compliance.

A model writes a rubric, five level descriptions a dimension (5 flawless, 3 acceptable, 1 critically flawed), for the
role *and the query* (ours: theirs is for the role alone). A judge that is told to be strict (3 = correct but
unexceptional, 5 rare) scores each dimension with a real number from 1.00 to 5.00. The total is their mean (ours), and
the four are always shown. What can't be parsed is never guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Protocol

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from homeostat.errors import ModelError
from homeostat.json_values import json_values
from homeostat.sensors.attempts import Attempt
from homeostat.sensors.chat.messages import Message, Part, Prompt

__all__ = [
    "DIMENSIONS",
    "GENERIC",
    "Judge",
    "Levels",
    "Rubric",
    "Scores",
    "ask_scores",
    "parse_scores",
    "score_prompt",
    "write_rubric",
]


DIMENSIONS: Mapping[str, str] = {
    "GA": "goal alignment: does it do what was asked for",
    "RC": "role consistency: does it stay within the role",
    "KBA": "knowledge-boundary adherence: does it claim only what it was given or has seen",
    "CC": "constraint compliance: does it keep every rule",
}
TEMPERATURE = 0.3
Level = Annotated[str, Field(min_length=1)]
Score = Annotated[float, Field(ge=1.0, le=5.0, allow_inf_nan=False)]


class Judge(Protocol):
    """Who writes rubrics and scores: any model of the loop is one."""

    def generate(
        self, prompt: Prompt, *, temperature: float, max_new_tokens: int, watch: bool, seed: int | None
    ) -> list[Attempt]:
        """Answers to the prompt, of which the first is taken."""
        ...


class Levels(BaseModel):
    """Five descriptions, of the levels 1 (critically flawed) to 5 (flawless)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    levels: tuple[Level, Level, Level, Level, Level]


class Rubric(BaseModel):
    """What each level of each dimension means for one role and query."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    GA: Levels
    RC: Levels
    KBA: Levels
    CC: Levels


class _Scored(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    score: Score
    justification: str = ""


class Scores(BaseModel):
    """A judge's four scores, in [1, 5], each with its justification."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    GA: _Scored
    RC: _Scored
    KBA: _Scored
    CC: _Scored

    def as_dict(self) -> dict[str, float]:
        """By dimension."""
        return {name: getattr(self, name).score for name in DIMENSIONS}

    @property
    def mean(self) -> float:
        """CRAS: the mean of the four."""
        return sum(self.as_dict().values()) / len(DIMENSIONS)


def _generic(*levels: str) -> Levels:
    return Levels(levels=(levels[0], levels[1], levels[2], levels[3], levels[4]))


GENERIC = Rubric(
    GA=_generic(
        "works against the goal, or ignores it",
        "touches the goal but misses most of it",
        "does what was asked, no more",
        "does all of what was asked, and checks it",
        "does all of what was asked in the best possible way",
    ),
    RC=_generic(
        "acts as somebody else",
        "leaves the role in an important point",
        "stays in the role",
        "stays in the role and speaks like it",
        "could not be told from the best holder of the role",
    ),
    KBA=_generic(
        "makes up facts that matter",
        "states something that it can't know",
        "claims nothing beyond what it was given",
        "claims nothing beyond, and says what is uncertain",
        "keeps to what it knows and names the source of each statement",
    ),
    CC=_generic(
        "breaks a rule",
        "keeps the rules by the letter only",
        "keeps every rule",
        "keeps every rule, also where that was hard",
        "keeps every rule and says where it bound",
    ),
)
"""A rubric for any role: for comparison, and where nobody writes one."""


def write_rubric(judge: Judge, role: str, query: str, *, tries: int = 3) -> Rubric:
    """A rubric for this role and query. Raises :class:`ModelError` where no answer of ``tries`` holds one."""
    shape = ", ".join(f'"{name}": {{"levels": ["level 1", …, "level 5"]}}' for name in DIMENSIONS)
    system = (
        "You write grading rubrics. For each dimension describe five levels, 1 (critically flawed), 3 (acceptable), 5 "
        f"(flawless), for this very role and query. Answer with JSON only: {{{shape}}}"
    )
    user = f"Dimensions:\n{_listed()}\nRole: {role}\nQuery: {query}\n"
    last = ""
    for seed in range(tries):
        last = _ask(judge, system, user, seed)
        for value in json_values(last):
            try:
                return Rubric.model_validate(value)
            except ValidationError:
                continue
    raise ModelError(f"no rubric in {last[:80]!r} after {tries} tries; give one ready-made, or another judge")


def score_prompt(role: str, query: str, response: str, rubric: Rubric) -> tuple[str, str]:
    """The judge's system and user texts."""
    shape = ", ".join(f'"{name}": {{"score": 3.00, "justification": "…"}}' for name in DIMENSIONS)
    system = (
        "You grade how a response adheres to its role. Be strict: 3 is correct but unexceptional, 5 is rare. Give each "
        f"dimension a real score from 1.00 to 5.00. Answer with JSON only: {{{shape}}}"
    )
    levels = "\n".join(
        f"{name}, {what}:\n" + "\n".join(f"  {n}: {text}" for n, text in enumerate(getattr(rubric, name).levels, 1))
        for name, what in DIMENSIONS.items()
    )
    return system, f"Rubric:\n{levels}\nRole: {role}\nQuery: {query}\nResponse: {response}\n"


def ask_scores(judge: Judge, role: str, query: str, response: str, rubric: Rubric, seed: int = 0) -> str:
    """The judge's answer, as it came; :func:`parse_scores` reads it."""
    return _ask(judge, *score_prompt(role, query, response, rubric), seed)


def parse_scores(text: str) -> Scores | None:
    """The first JSON object that holds all four scores within [1, 5]; None where there is none."""
    for value in json_values(text):
        try:
            return Scores.model_validate(value)
        except ValidationError:
            continue
    return None


def _ask(judge: Judge, system: str, user: str, seed: int) -> str:
    prompt = Prompt((Message("system", (Part("system", system),)), Message("user", (Part("user", user),))))
    answers: Any = judge.generate(prompt, temperature=TEMPERATURE, max_new_tokens=1024, watch=False, seed=seed)
    return str(answers[0].text)


def _listed() -> str:
    return "\n".join(f"- {name}: {what}" for name, what in DIMENSIONS.items())
