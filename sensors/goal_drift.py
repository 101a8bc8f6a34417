"""GoalDrift: would the model answer differently if the goal were repeated at the end of its prompt?

"Drift" here is context drift in the sense of Dongre et al. (arXiv 2510.07777), a divergence: at turn t,
D_t = KL(q_t ‖ p_t), where q_t is the model's distribution over tokens given the history, and p_t that of a reference
which is consistent with the goal. In the paper, the reference is another, larger model; how vocabularies are matched
and tokens aggregated is left open. Here, the reference is *the same model with the goal repeated at the end of its
context*:

    D = mean over the attempt's tokens y_i of Σ_v q(v | y_<i) · log( q(v | y_<i) / p(v | y_<i) )

It is exact over the whole vocabulary, with teacher forcing on the attempt, in nats per token. D = 0 means that the
reminder would change nothing. A large D means that it would change the answer, not that it would help: a reminder also
moves a model that was right.

Cost: two forwards. Each runs only on the tokens that the other's cached prefix lacks (the goal's few tokens and those
of the answer).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from homeostat.errors import ConfigError
from homeostat.sensors.attempts import Attempt
from homeostat.sensors.chat.messages import Message, Prompt
from homeostat.sensors.chat.wording import Wording, substitute
from homeostat.sensors.context import SensorContext
from homeostat.sensors.contracts import Need, Scoring, Styled
from homeostat.sensors.readings import Reading, not_judged

__all__ = ["GoalDrift", "divergence", "restated"]

LEAST = -1e4
"""Smaller log-probabilities are replaced by this value; otherwise a token with p = 0 makes the divergence infinite."""


class GoalDrift:
    """Measures how much a reminder of the goal would change the answer, and alarms above the threshold.

    ``value`` = D in nats per token. An attempt is not judged without a prompt, tokens, or a model that can score. The
    values of an episode form a trajectory; ``homeostat.sensors.trajectories`` tests whether it returns to an
    equilibrium, and ``homeostat.sensors.impulse_response`` measures how long a reminder has an effect.

    ``detail`` holds ``first`` (D of the first token), ``highest`` (the largest D of any token), ``tokens`` (their
    number), and ``gain`` (the mean difference of the attempt's log-probabilities with and without the reminder).
    """

    needs: frozenset[Need] = frozenset({"model"})
    side: Literal["above"] = "above"

    def __init__(self, threshold: float = 0.5, *, wording: str | None = None, name: str = "goal_drift") -> None:
        """Creates the sensor.

        Args:
            threshold: D above which it alarms, in nats per token. The default is **not calibrated**.
            wording: The reminder, with ``{goal}`` in place of the goal; None takes the model's own wording of a
                reminder, if it has one.
            name: The sensor's name.

        Raises:
            ConfigError: The threshold is negative, or the wording lacks ``{goal}``.
        """
        if not threshold >= 0:
            raise ConfigError(f"threshold={threshold!r} is not a divergence; pass nats per token, 0 or more")
        if wording is not None and "{goal}" not in wording:
            raise ConfigError(f"wording={wording!r} lacks the goal; put {{goal}} where it belongs")
        self.name = name
        self.threshold = threshold
        self.wording = wording

    def read(self, attempt: Attempt, context: SensorContext) -> Reading:
        """Reads an attempt."""
        if context.prompt is None or not isinstance(context.model, Scoring):
            return not_judged(self.name, "there is no prompt, or no model that scores tokens", threshold=self.threshold)
        if all(message.role != "user" for message in context.prompt.messages):
            return not_judged(self.name, "the prompt has no user message", threshold=self.threshold)
        if not attempt.tokens:
            return not_judged(self.name, "no token was generated", threshold=self.threshold)
        own = context.model.style.reminder if isinstance(context.model, Styled) else "Reminder: {reminder}\n"
        own = own.replace("{reminder}", "{goal}")
        again = restated(context.prompt, substitute(self.wording or own, "{goal}", context.goal))
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
            reason=f"repeating the goal would move the answer by {value:.3g} nats per token",
            span="goal",
            detail=detail,
        )


def divergence(q: NDArray[np.floating], p: NDArray[np.floating]) -> NDArray[np.float64]:
    """Computes KL(q ‖ p) of each token's distributions.

    Args:
        q: (T, V) natural-log probabilities.
        p: (T, V) natural-log probabilities.

    Returns:
        (T,) divergences in nats, never below 0.
    """
    # One token at a time: all at once, in double precision, a large vocabulary would take gigabytes.
    return np.array([_divergence(*both) for both in zip(q, p, strict=True)], np.float64)


def _divergence(q: NDArray[np.floating], p: NDArray[np.floating]) -> float:
    log_q, log_p = (np.maximum(one.astype(np.float64), LEAST) for one in (q, p))
    return max(float(np.exp(log_q) @ (log_q - log_p)), 0.0)


def restated(prompt: Prompt, text: Wording) -> Prompt:
    """Adds a reminder to a prompt.

    Args:
        prompt: The prompt.
        text: The reminder.

    Returns:
        The prompt with the reminder, labelled "reminder", at the end of its last user message.

    Raises:
        ConfigError: The prompt has no user message.
    """
    at = max((n for n, message in enumerate(prompt.messages) if message.role == "user"), default=None)
    if at is None:
        raise ConfigError("the prompt has no user message; put the goal into one")
    last = prompt.messages[at]
    longer = Message(last.role, (*last.parts, text.part("reminder")), last.extra)
    return replace(prompt, messages=(*prompt.messages[:at], longer, *prompt.messages[at + 1 :]))
