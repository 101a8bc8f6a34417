"""What a run tells the standard logger ``homeostat.run``: names and numbers, never prompts or answers.

Starts, decisions and ends are logged at level INFO, alarms at INFO, model calls and actions at DEBUG. A failure is
logged as an ERROR where somebody listens; it is raised in any case. No handler is installed here.
"""

from __future__ import annotations

import logging

from homeostat.agent.events import (
    Act,
    Asked,
    Decide,
    Event,
    Failed,
    Finish,
    Planned,
    RuleRead,
    ScreenRead,
    Sense,
    Started,
)
from homeostat.redaction import redact

__all__ = ["log_event"]

_LOG = logging.getLogger("homeostat.run")


def log_event(run: str, event: Event) -> None:
    """Logs an event of a run.

    Args:
        run: The run's id.
        event: The event.
    """
    if not _LOG.isEnabledFor(logging.DEBUG) and not _LOG.isEnabledFor(logging.INFO):
        return
    where = f"run {run}, step {event.step}"
    match event:
        case Started(model=model, task=task):
            _LOG.info("run %s starts: task %s, model %s, seed %d", run, task.name, model, event.seed)
        case Sense(readings=readings, tokens=tokens, seconds=seconds):
            _LOG.debug("%s, attempt %d: %d tokens in %.2f s", where, event.attempt, len(tokens), seconds)
            for reading in readings:
                if reading.alarm:
                    _LOG.info("%s, attempt %d: alarm of %s (%.4g)", where, event.attempt, reading.sensor, reading.value)
        case Planned() | ScreenRead() | RuleRead():
            _LOG.debug("%s: %s, %d tokens in %.2f s", where, event.kind, event.tokens, event.seconds)
        case Decide(decision=decision, controller=controller) if decision.kind != "proceed":
            _LOG.info("%s, attempt %d: %s decides to %s", where, event.attempt, controller, decision.kind)
        case Act(action=action, outcome=outcome):
            _LOG.debug("%s: %s is %s", where, action.kind if action is not None else "the answer", outcome)
        case Asked():
            _LOG.info("%s: the user was asked and has answered", where)
        case Failed(error=error) if _LOG.hasHandlers():  # else Python would print it to stderr
            _LOG.error("run %s failed: %s", run, redact(error))
        case Finish(ended=ended, steps=steps, tokens=tokens, seconds=seconds):
            _LOG.info("run %s ended as %s after %d steps, %d tokens and %.1f s", run, ended, steps, tokens, seconds)
        case _:
            pass
