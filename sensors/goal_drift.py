"""GoalDrift: would the model act otherwise, were its goal said again?

Context drift as a divergence (Dongre et al., arXiv 2510.07777): at turn t, D_t = KL(q_t ‖ p_t), q_t the model's
distribution over tokens given the history, p_t a goal-consistent reference's given the same. Theirs is another, larger
model; vocabularies and the aggregation over tokens are left open. Ours is *the same model with the goal re-shown at
the end of its context*:

    D = mean over the attempt's tokens y_i of Σ_v q(v | y_<i) · log( q(v | y_<i) / p(v | y_<i) )

exact over the whole vocabulary, teacher-forced on what the model has just written, in nats a token. 0: the reminder
would change nothing. A large D says that it would, not that it would help: a reminder also moves a model that was
right. Cost: two forwards, of which each runs only what the other's cached prefix lacks (the goal's few tokens and the
answer's).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from homeostat.errors import ConfigError
from homeostat.sensors.attempts import Attempt
from homeostat.sensors.chat.messages import Message, Part, Prompt
from homeostat.sensors.context import SensorContext
from homeostat.sensors.contracts import Need, Scoring, Styled
from homeostat.sensors.readings import Reading, not_judged

__all__ = ["GoalDrift", "divergence", "restated"]

LEAST = -1e4
"""A log-probability below this counts as this: what p never says would make the divergence infinite."""


class GoalDrift:
    """``value`` = D in nats a token. Alarm above ``threshold`` (**not calibrated**).

    ``wording``: how the goal is said again, with ``{goal}``; None takes the model's own style of a reminder where it
    has one. Not judged without a prompt, tokens, or a model that scores. A whole episode's values are a trajectory:
    ``homeostat.sensors.trajectories`` tells whether it drifts, and for how long a reminder holds.

    ``detail``: ``first`` and ``highest``, D of the first token and of the one where it is largest; ``tokens``;
    ``gain``, how much more probable the attempt is with the goal re-shown (mean difference of log-probabilities).
    """

    needs: frozenset[Need] = frozenset({"model"})
    side: Literal["above"] = "above"

    def __init__(self, threshold: float = 0.5, *, wording: str | None = None, name: str = "goal_drift") -> None:
        """Raises :class:`ConfigError` for a negative threshold or a wording without the goal."""
        if not threshold >= 0:
            raise ConfigError(f"threshold={threshold!r} is no divergence; give nats a token, 0 or more")
        if wording is not None and "{goal}" not in wording:
            raise ConfigError(f"wording={wording!r} says no goal; put {{goal}} where it belongs")
        self.name = name
        self.threshold = threshold
        self.wording = wording

    def read(self, attempt: Attempt, context: SensorContext) -> Reading:
        """The reading of this attempt."""
        if context.prompt is None or not isinstance(context.model, Scoring):
            return not_judged(self.name, "no prompt, or no model that scores tokens", threshold=self.threshold)
        if all(message.role != "user" for message in context.prompt.messages):
            return not_judged(self.name, "the prompt has no message of the user", threshold=self.threshold)
        if not attempt.tokens:
            return not_judged(self.name, "no token was generated", threshold=self.threshold)
        own = context.model.style.reminder if isinstance(context.model, Styled) else "Reminder: {reminder}\n"
        own = own.replace("{reminder}", "{goal}")
        again = restated(context.prompt, (self.wording or own).replace("{goal}", context.goal))
        q = context.model.score(context.prompt, attempt.tokens)
        p = context.model.score(again, attempt.tokens)
        each = divergence(q, p)
        value = float(each.mean())
        before = [r.value for r in context.history if r.judged]
        at = np.arange(len(attempt.tokens)), np.asarray(attempt.tokens)
        detail = {
            "first": float(each[0]),
            "highest": float(each.max()),
            "tokens": float(len(each)),
            "gain": float((np.maximum(p[at], LEAST) - np.maximum(q[at], LEAST)).mean()),
        }
        return Reading(
            sensor=self.name,
            value=value,
            baseline=sum(before) / len(before) if before else None,
            threshold=self.threshold,
            alarm=value > self.threshold,
            reason=f"the goal said again would move the answer by {value:.3g} nats a token",
            span="goal",
            detail=detail,
        )


def divergence(q: NDArray[np.floating], p: NDArray[np.floating]) -> NDArray[np.float64]:
    """(T,) KL(q ‖ p) in nats of (T, V) natural-log probabilities; never below 0."""
    # Token by token: in double precision, all at once, a large vocabulary would take gigabytes.
    return np.array([_divergence(*both) for both in zip(q, p, strict=True)], np.float64)


def _divergence(q: NDArray[np.floating], p: NDArray[np.floating]) -> float:
    log_q, log_p = (np.maximum(one.astype(np.float64), LEAST) for one in (q, p))
    return max(float(np.exp(log_q) @ (log_q - log_p)), 0.0)


def restated(prompt: Prompt, text: str) -> Prompt:
    """The prompt with ``text``, labelled ``reminder``, at the end of its last message of the user.

    Raises :class:`ConfigError` where the user says nothing.
    """
    at = max((n for n, message in enumerate(prompt.messages) if message.role == "user"), default=None)
    if at is None:
        raise ConfigError("the prompt has no message of the user; say the goal in one")
    last = prompt.messages[at]
    longer = Message(last.role, (*last.parts, Part("reminder", text)), last.extra)
    return Prompt((*prompt.messages[:at], longer, *prompt.messages[at + 1 :]))
