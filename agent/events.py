"""What happens in an episode, as typed events: what ``Agent.stream`` yields and what the trace holds, line by line."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from pydantic.json_schema import SkipJsonSchema

from homeostat.actions import Action
from homeostat.controllers.context import Phase, Reported
from homeostat.controllers.decisions import Decision
from homeostat.controllers.plan import Plan
from homeostat.envs.core import TaskInfo
from homeostat.observation import Element
from homeostat.sensors.readings import Reading

__all__ = [
    "Act",
    "Asked",
    "Decide",
    "Ending",
    "Event",
    "Failed",
    "Finish",
    "Observe",
    "Planned",
    "ScreenRead",
    "Sense",
    "Started",
    "event_from_json",
]

Ending = Literal["success", "premature", "budget", "impossible", "collapse", "stopped", "finished", "asked", "paused"]
"""How an episode ended (UI-NEXUS, and ours).

``success``: the check holds. ``premature``: the agent called it done and the check fails. ``budget``: out of steps.
``impossible``: the agent called it impossible or forbidden. ``collapse``: three answers in a row held no action.
``stopped``: a controller ended it. ``finished``: the agent called it done and there is no check (a goal in free words).
``asked`` and ``paused`` are no endings: the episode waits for an answer, or was drained; both can be resumed.
"""


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    step: int = 0
    attempt: int = 0


class Started(_Event):
    """The episode begins. ``judged`` says whether the environment holds a success check for it; ``planner`` names the
    model that plans, where it is another one.
    """

    kind: Literal["start"] = "start"
    run: str
    task: TaskInfo
    judged: bool
    seed: int
    model: str
    planner: str = ""
    sensors: tuple[str, ...]
    controllers: tuple[str, ...]


class Observe(_Event):
    """The screen before a step. ``screen`` names its PNG by its pixels' sha256 (empty without a folder); ``frames``
    those of a recording that is watched.
    """

    kind: Literal["observe"] = "observe"
    app: str
    screen: str = ""
    elements: tuple[Element, ...] = ()
    frames: tuple[str, ...] = ()
    screenshot: SkipJsonSchema[Any] = Field(default=None, exclude=True, repr=False)
    """(height, width, 3) uint8; live only, the trace has ``screen``."""


class Sense(_Event):
    """One attempt and its readings. ``action`` is what the text parsed to, or None with the reason in ``unparsable``.

    ``candidate`` numbers the further answers to one prompt, from 1.
    ``mass`` is each span's attention, averaged over the attempt's tokens, layers and heads (empty where not read).
    """

    kind: Literal["sense"] = "sense"
    instruction: str
    reminder: str = ""
    text: str
    action: Action | None = None
    unparsable: str | None = None
    readings: tuple[Reading, ...] = ()
    mass: dict[str, float] = {}
    tokens: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    prompt_tokens: int = 0
    cached_tokens: int = 0
    seconds: float = 0.0
    finish: Literal["stop", "length"] = "stop"
    candidate: int | None = None


class Decide(_Event):
    """A decision, who took it (``"proceed"`` needs nobody), and in which phase."""

    kind: Literal["decide"] = "decide"
    phase: Phase
    controller: str = ""
    decision: Decision


class Planned(_Event):
    """The planner's answer, and the plan read from it or why there is none."""

    kind: Literal["plan"] = "plan"
    text: str
    plan: Plan | None = None
    error: str | None = None
    prompt_tokens: int = 0
    cached_tokens: int = 0
    tokens: int = 0
    seconds: float = 0.0


class ScreenRead(_Event):
    """The reporter's answer, and what was read from it."""

    kind: Literal["report"] = "report"
    text: str
    report: Reported
    prompt_tokens: int = 0
    cached_tokens: int = 0
    tokens: int = 0
    seconds: float = 0.0


class Act(_Event):
    """What the step did: ``done``, or not (``error`` says why: unparsable text, or refused by the environment).

    ``snapshot`` is the sha256 of the environment's state after it (empty without a run folder).
    """

    kind: Literal["act"] = "act"
    action: Action | None = None
    outcome: Literal["done", "refused", "unparsable"] = "done"
    error: str = ""
    said: str = ""
    snapshot: str = ""


class Asked(_Event):
    """A question to the user; ``answer`` is None until there is one."""

    kind: Literal["ask"] = "ask"
    question: str
    answer: str | None = None


class Failed(_Event):
    """A component or the runtime raised an error, which ends the process's work on the episode.

    The episode itself has not ended: it can be resumed once the cause is mended.

    Attributes:
        component: What failed: ``"sensor"``, ``"controller"``, ``"environment"``, ``"model"``, or "" for the runtime.
        name: The component's name.
        error: The error, on one line.
    """

    kind: Literal["error"] = "error"
    component: str = ""
    name: str = ""
    error: str


class Finish(_Event):
    """The episode's end. ``success`` is None where nothing judges it."""

    kind: Literal["finish"] = "finish"
    ended: Ending
    success: bool | None
    reason: str = ""
    steps: int
    optimal_steps: int
    tokens: int
    seconds: float


Event = Annotated[
    Started | Observe | Sense | Decide | Planned | ScreenRead | Act | Asked | Failed | Finish,
    Field(discriminator="kind"),
]

_ADAPTER: TypeAdapter[Any] = TypeAdapter(Event)


def event_from_json(line: str | bytes) -> Event:
    """The event of one trace line. Raises pydantic's ``ValidationError``."""
    event: Event = _ADAPTER.validate_json(line)
    return event
