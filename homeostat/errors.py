"""Every error that Homeostat raises on purpose, in one tree.

    HomeostatError
    ├── ConfigError           a setting, a rule file or a combination that can't work
    │   └── UnknownName       a name that is in no registry (says which are, and the nearest)
    ├── HubError              something on the Hugging Face hub that can't be found, read or written
    ├── PlanError             a planner's text that holds no plan, or a plan that can't be carried out
    ├── ModelError            a model that can't be loaded, rendered for, probed or run
    │   ├── PromptTooLong     a prompt that does not fit the model's context
    │   ├── OutOfMemory       a model call that needs more memory than there is
    │   ├── CallInterrupted   a model call that was cut short because the process was asked to end
    │   └── ProbeError        an architecture whose attention can't be read exactly
    ├── EnvError              an environment that can't do what was asked
    │   ├── EnvTimeout        an environment that does not return in time
    │   └── ActionError       an action that the environment refuses
    │       └── UnparsableAction   a model's text that holds no action
    ├── ComponentError        a sensor, controller, environment or model that fails in a way of its own
    ├── TraceError            a trace on disk that can't be read
    └── CheckpointError       a checkpoint that can't be resumed from

Each message is one line that names the value (``!r``) and the fix. The command line prints it
and exits with status 2. This file imports nothing, so every package may import it.
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = [
    "ActionError",
    "CallInterrupted",
    "CheckpointError",
    "ComponentError",
    "ConfigError",
    "EnvError",
    "EnvTimeout",
    "HomeostatError",
    "HubError",
    "ModelError",
    "OutOfMemory",
    "PlanError",
    "ProbeError",
    "PromptTooLong",
    "TraceError",
    "UnknownName",
    "UnparsableAction",
]


class HomeostatError(Exception):
    """The root: catch it to catch everything below."""


class ConfigError(HomeostatError, ValueError):
    """A setting, a rule file or a combination of settings that can't work."""


class UnknownName(ConfigError, LookupError):
    """A name that is in no registry. Build it with :meth:`of`, which suggests the nearest."""

    @classmethod
    def of(cls, what: str, name: str, known: Iterable[str]) -> UnknownName:
        """Builds the error, with the nearest known name as a suggestion.

        Args:
            what: What the name is for, such as ``"sensor"``.
            name: The unknown name.
            known: All known names.

        Returns:
            The error, with a message such as ``unknown sensor 'x'; did you mean 'y'? known: …``.
        """
        import difflib

        names = sorted(known)
        name = name if len(name) <= 80 else name[:79] + "…"  # it may come from a file
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        listed = ", ".join(names) or "none"
        listed = listed if len(listed) <= 1500 else listed[:1499] + "…"
        return cls(f"unknown {what} {name!r}; {hint}known: {listed}")


class HubError(HomeostatError):
    """Something on the Hugging Face hub that can't be found, read or written, or a hub that can't be reached."""


class PlanError(HomeostatError, ValueError):
    """A planner's text that holds no plan, or a plan whose next subtask lacks a value that it needs."""


class ModelError(HomeostatError):
    """A model that can't be loaded, rendered for, probed or run."""


class PromptTooLong(ModelError):
    """A prompt that does not fit the model's context. It is refused before the model runs."""


class OutOfMemory(ModelError):
    """A model call that needs more memory than the device has."""


class CallInterrupted(ModelError):
    """A model call that was cut short because the process was asked to end."""


class ProbeError(ModelError):
    """An architecture whose attention can't be read exactly: refused by name, never read wrongly."""


class EnvError(HomeostatError):
    """An environment that can't do what was asked."""


class EnvTimeout(EnvError, TimeoutError):
    """An environment that does not return in time: its call was abandoned."""


class ActionError(EnvError, ValueError):
    """An action that the environment refuses."""


class UnparsableAction(ActionError):
    """A model's text that holds no action."""


class ComponentError(HomeostatError):
    """A sensor, a controller, an environment or a model that raised an error which its contract does not know.

    The error is a defect of that component. The run's trace holds an event that says so, and the run can be resumed
    once the component is mended.

    Attributes:
        kind: What the component is: ``"sensor"``, ``"controller"``, ``"environment"`` or ``"model"``.
        component: Its name.
    """

    def __init__(self, message: str, *, kind: str = "", component: str = "") -> None:
        """Keeps which component failed.

        Args:
            message: One line that names the component, its error and the fix.
            kind: What the component is.
            component: Its name.
        """
        super().__init__(message)
        self.kind, self.component = kind, component

    @classmethod
    def of(cls, kind: str, component: str, error: BaseException) -> ComponentError:
        """Builds the error from what the component raised.

        Args:
            kind: What the component is.
            component: Its name.
            error: What it raised.

        Returns:
            The error, with a message on one line.
        """
        text = " ".join(str(error).split())[:120]
        check = f"; test it with check_{kind}" if kind in ("sensor", "controller") else ""
        return cls(f"{kind} {component!r} raised {type(error).__name__}: {text}{check}", kind=kind, component=component)


class TraceError(HomeostatError):
    """A trace on disk that can't be read."""


class CheckpointError(HomeostatError):
    """A checkpoint that can't be resumed from."""
