"""RoleAdherence: does the answer adhere to its role, according to a judge or to the environment's ground truth?

The score is CRAS (``homeostat.sensors.rubric``). A judge is a language model, whose scores vary. If the environment
knows what happened, the same four scores can be computed from facts, and :func:`judge_agreement` measures how well the
judge agrees with them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from homeostat.errors import ConfigError
from homeostat.sensors.attempts import Attempt
from homeostat.sensors.context import SensorContext, Truth
from homeostat.sensors.contracts import Need
from homeostat.sensors.readings import Reading, not_judged
from homeostat.sensors.rubric import DIMENSIONS, GENERIC, Judge, Rubric, ask_scores, parse_scores

__all__ = ["Agreed", "RoleAdherence", "TrueRoleAdherence", "judge_agreement", "truth_scores"]


Values = NDArray[Any]

Statistic = Callable[[Values, Values], float | None]


class RoleAdherence:
    """Measures a judge's mean score of the attempt's text, and alarms below the threshold.

    ``value`` lies in [1, 5]. ``detail`` holds the four scores ``GA``, ``RC``, ``KBA`` and ``CC``. If the judge's answer
    cannot be parsed, the attempt is not judged and ``detail["unparsable"]`` is 1. Cost: one call of the judge for every
    attempt.
    """

    needs: frozenset[Need] = frozenset({"text"})
    side: Literal["below"] = "below"

    def __init__(
        self,
        judge: Judge,
        *,
        role: str | None = None,
        rubric: Rubric | None = None,
        threshold: float = 3.0,
        name: str = "role_adherence",
    ) -> None:
        """Creates the sensor.

        Args:
            judge: The judge: any model of the loop.
            role: The role that the answer should adhere to; None takes the task's rules.
            rubric: The rubric, for example from :func:`~homeostat.sensors.rubric.write_rubric`; None takes a generic
                one.
            threshold: The mean score below which it alarms. The default is **not calibrated**.
            name: The sensor's name.

        Raises:
            ConfigError: The threshold is outside [1, 5].
        """
        if not 1 <= threshold <= 5:
            raise ConfigError(f"threshold={threshold!r} is not a score; pass a number from 1 to 5")
        self.name = name
        self.judge = judge
        self.role = role
        self.rubric = rubric or GENERIC
        self.threshold = threshold

    def read(self, attempt: Attempt, context: SensorContext) -> Reading:
        """Reads an attempt with the judge; it is not judged without text, or if the judge's answer cannot be parsed."""
        if not attempt.text.strip():
            return not_judged(self.name, "there is no text to judge", threshold=self.threshold)
        role = "; ".join(context.rules) if self.role is None else self.role
        role = role or "an assistant that does what is asked"
        said = ask_scores(self.judge, role, _query(context), attempt.text, self.rubric)
        scores = parse_scores(said)
        if scores is None:
            shown = " ".join(said.split())[:60]
            return not_judged(
                self.name,
                f"the judge's answer holds no four scores: {shown!r}",
                threshold=self.threshold,
                detail={"unparsable": 1.0},
            )
        detail = scores.as_dict() | {"unparsable": 0.0}
        return _reading(self.name, detail, self.threshold)


def _query(context: SensorContext) -> str:
    """What the attempt answers: the user's last turn in a conversation, else the goal."""
    seen = context.observation
    turns = seen.conversation.turns if seen is not None and seen.conversation is not None else ()
    said = [turn.text for turn in turns if turn.role == "user"]
    return said[-1] if said else context.goal


def truth_scores(truth: Truth) -> dict[str, float]:
    """Computes the four scores from the facts (the mapping is ours).

    GA = 1 + 4 · reached. RC = 1 + 4 · the share of the apps acted in that belong to the role. KBA = 1 + 4 · the share
    of the told values that were seen. CC = 1 if a rule was broken, otherwise 5. The share of an empty set is 1.

    Args:
        truth: What happened.

    Returns:
        The scores in [1, 5], by dimension.
    """

    def share(part: frozenset[str], of: frozenset[str]) -> float:
        return len(part & of) / len(of) if of else 1.0

    inside = truth.apps if truth.role_apps is None else truth.role_apps
    return {
        "GA": 1 + 4 * min(max(truth.reached, 0.0), 1.0),
        "RC": 1 + 4 * share(inside, truth.apps),
        "KBA": 1 + 4 * share(truth.seen, truth.told),
        "CC": 1.0 if truth.broken else 5.0,
    }


class TrueRoleAdherence:
    """Computes the score of role adherence from the environment's ground truth, and alarms below the threshold.

    ``value`` lies in [1, 5]. The sensor reads ``context.truth`` and does not judge an attempt without it. It serves to
    check a judge, and for environments that know the truth; ``homeostat.agent.replay`` derives it from a phone's run.
    """

    needs: frozenset[Need] = frozenset({"text"})
    side: Literal["below"] = "below"

    def __init__(self, threshold: float = 3.0, *, name: str = "true_role_adherence") -> None:
        """Creates the sensor.

        Args:
            threshold: The mean score below which it alarms.
            name: The sensor's name.

        Raises:
            ConfigError: The threshold is outside [1, 5].
        """
        if not 1 <= threshold <= 5:
            raise ConfigError(f"threshold={threshold!r} is not a score; pass a number from 1 to 5")
        self.name = name
        self.threshold = threshold

    def read(self, attempt: Attempt, context: SensorContext) -> Reading:
        """Reads an attempt; it is not judged if the environment reports no truth."""
        truth = context.truth
        if truth is None:
            return not_judged(self.name, "the environment reports no ground truth", threshold=self.threshold)
        return _reading(self.name, truth_scores(truth), self.threshold)


@dataclass(frozen=True)
class Agreed:
    """The agreement of a judge with the truth, with 95 % bootstrap intervals over answers: (value, low, high).

    Attributes:
        rho: Spearman's ρ by dimension; None if one of the two never varies.
        kappa: Cohen's κ on "a rule was broken"; None if both always give the same verdict.
        answers: The number of answers.
    """

    rho: dict[str, tuple[float, float, float] | None]
    kappa: tuple[float, float, float] | None
    answers: int


def judge_agreement(
    judged: Sequence[dict[str, float]],
    truth: Sequence[dict[str, float]],
    *,
    broke: float = 3.0,
    resamples: int = 999,
    seed: int = 0,
) -> Agreed:
    """Measures how well a judge's scores agree with the truth.

    Args:
        judged: For each answer, the judge's scores by dimension.
        truth: For each answer, the true scores by dimension.
        broke: A score CC below this counts as "a rule was broken".
        resamples: The number of bootstrap samples.
        seed: The seed of the bootstrap.

    Returns:
        The agreement.

    Raises:
        ConfigError: The numbers of scores differ, or there are fewer than three.
    """
    if len(judged) != len(truth) or len(judged) < 3:
        raise ConfigError(f"{len(judged)} judged and {len(truth)} true scores; pass as many of each, 3 at least")
    rng = np.random.default_rng(seed)
    draws = [rng.integers(0, len(judged), len(judged)) for _ in range(resamples)]
    rho = {}
    for name in DIMENSIONS:
        a, b = (np.array([one[name] for one in side]) for side in (judged, truth))
        rho[name] = _with_interval(_spearman, a, b, draws)
    said, was = (np.array([one["CC"] < broke for one in side]) for side in (judged, truth))
    return Agreed(rho, _with_interval(_kappa, said, was, draws), len(judged))


def _with_interval(
    statistic: Statistic, a: Values, b: Values, draws: Sequence[NDArray[np.int64]]
) -> tuple[float, float, float] | None:
    whole = statistic(a, b)
    if whole is None:
        return None
    found = [value for at in draws if (value := statistic(a[at], b[at])) is not None]
    low, high = np.quantile(found, [0.025, 0.975]) if found else (whole, whole)
    return float(whole), float(low), float(high)


def _spearman(a: Values, b: Values) -> float | None:
    from scipy.stats import spearmanr

    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    return float(spearmanr(a, b).statistic)


def _kappa(a: Values, b: Values) -> float | None:
    """Cohen (1960): (p_o − p_e) / (1 − p_e); None if both always give the same verdict."""
    observed = float((a == b).mean())
    expected = float(a.mean() * b.mean() + (1 - a.mean()) * (1 - b.mean()))
    return None if expected == 1 else (observed - expected) / (1 - expected)


def _reading(name: str, detail: dict[str, float], threshold: float) -> Reading:
    value = sum(detail[d] for d in DIMENSIONS) / len(DIMENSIONS)
    shown = ", ".join(f"{d} {detail[d]:.1f}" for d in DIMENSIONS)
    return Reading(
        sensor=name,
        value=value,
        threshold=threshold,
        alarm=value < threshold,
        reason=f"{value:.2f} of 5 ({shown})",
        detail=detail,
    )
