"""CRAS: rubrics for role adherence, and parsing of a judge's scores.

The Contextualized Role Adherence Score comes from arXiv 2509.23188. Its authors have asked for the paper's withdrawal
as an unfinished draft; where its formulas are unavailable, the definition is ours. The score has four dimensions:

- **GA** goal alignment, **RC** role consistency, **KBA** knowledge-boundary adherence, **CC** constraint compliance.

A model writes a rubric for the role *and the query* (in the paper: for the role alone). It describes five levels of
each dimension (5 flawless, 3 acceptable, 1 critically flawed). A judge, which is told to be strict (3 = correct but
unexceptional, 5 rare), scores each dimension with a real number from 1.00 to 5.00. The total is their mean (ours), and
the four scores are always shown. Scores that cannot be parsed are never guessed.
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
"""The four dimensions, with the wording that the judge is given."""

TEMPERATURE = 0.3
Level = Annotated[str, Field(min_length=1)]
Score = Annotated[float, Field(ge=1.0, le=5.0, allow_inf_nan=False)]


class Judge(Protocol):
    """A model that writes rubrics and scores; any model of the loop is one."""

    def generate(
        self, prompt: Prompt, *, temperature: float, max_new_tokens: int, watch: bool, seed: int | None
    ) -> list[Attempt]:
        """Answers a prompt.

        Args:
            prompt: The prompt.
            temperature: The sampling temperature.
            max_new_tokens: The largest number of tokens of the answer.
            watch: Whether attention is read; it is not.
            seed: The seed of the sampling.

        Returns:
            The answers; the first is used.
        """
        ...


class Levels(BaseModel):
    """The descriptions of the five levels of one dimension.

    Attributes:
        levels: The descriptions of the levels 1 (critically flawed) to 5 (flawless).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    levels: tuple[Level, Level, Level, Level, Level]


class Rubric(BaseModel):
    """The meaning of each level of each dimension, for one role and query.

    Attributes:
        GA: Goal alignment.
        RC: Role consistency.
        KBA: Knowledge-boundary adherence.
        CC: Constraint compliance.
    """

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
    """A judge's four scores in [1, 5], each with its justification.

    Attributes:
        GA: Goal alignment.
        RC: Role consistency.
        KBA: Knowledge-boundary adherence.
        CC: Constraint compliance.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    GA: _Scored
    RC: _Scored
    KBA: _Scored
    CC: _Scored

    def as_dict(self) -> dict[str, float]:
        """Returns the scores.

        Returns:
            The scores, by dimension.
        """
        return {"GA": self.GA.score, "RC": self.RC.score, "KBA": self.KBA.score, "CC": self.CC.score}

    @property
    def mean(self) -> float:
        """CRAS: the mean of the four scores."""
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
"""A rubric for any role: for comparison, and for use without a written rubric."""


def write_rubric(judge: Judge, role: str, query: str, *, tries: int = 3) -> Rubric:
    """Lets a model write a rubric.

    Args:
        judge: The model.
        role: The role.
        query: The query.
        tries: The number of answers to ask for, until one contains a rubric.

    Returns:
        The rubric.

    Raises:
        ModelError: No answer contains a rubric.
    """
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
    raise ModelError(f"no rubric in {last[:80]!r} after {tries} tries; pass a rubric, or use another judge")


def score_prompt(role: str, query: str, response: str, rubric: Rubric) -> tuple[str, str]:
    """Writes the judge's prompt.

    Args:
        role: The role.
        query: The query.
        response: The response to score.
        rubric: The rubric.

    Returns:
        The system text and the user text.
    """
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
    """Asks a judge for scores.

    Args:
        judge: The judge.
        role: The role.
        query: The query.
        response: The response to score.
        rubric: The rubric.
        seed: The seed of the sampling.

    Returns:
        The judge's answer as text; :func:`parse_scores` parses it.
    """
    return _ask(judge, *score_prompt(role, query, response, rubric), seed)


def parse_scores(text: str) -> Scores | None:
    """Parses a judge's answer.

    Args:
        text: The answer.

    Returns:
        The scores from the first JSON object that has all four within [1, 5]; None if there is none.
    """
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
