"""``AgentSpec``: an agent as data. YAML files, the command line, the harness and Python all build agents from it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pydantic import ConfigDict, Field, ValidationError, field_validator

from homeostat.agent.loop.limits import LoopLimits
from homeostat.data_files import DataError, read_yaml
from homeostat.errors import ConfigError
from homeostat.foreign_text import clipped, quoted, visible
from homeostat.model_options import ModelOptions
from homeostat.redaction import set_redaction
from homeostat.sensors.contracts import Sensor

if TYPE_CHECKING:
    from homeostat.agent.agent import Agent
    from homeostat.controllers.cascade import Cascade

__all__ = ["AgentSpec"]


class AgentSpec(ModelOptions):
    """Everything that makes an agent: its models, sensors, controllers and limits.

    With no arguments it describes the agent that ``homeostat run`` uses. How the models are loaded (``device``,
    ``dtype``, ``revision``, ``quantization``) is said by the fields of :class:`~homeostat.model_options.ModelOptions`.

    Attributes:
        model: The model that acts: a hub name, a folder, a GGUF file, or the name of an embedded model.
        planner: The model that splits goals and reads screens. None takes the one that the model's prompt style names,
            else the model itself; it is loaded only where a controller plans.
        sensors: Names of sensors to read besides those that the controllers need (``homeostat list sensors``). A sensor
            that needs what the model does not offer is left out.
        controllers: Names of controllers in the order in which they are asked (``homeostat list controllers``);
            ``"none"`` for the bare model. A text with names between commas is accepted too.
        heads: A file of attention heads, as ``homeostat profile`` writes it. None takes the model's own ``heads.json``,
            where it has one.
        calibration: A file of alarm thresholds, as ``homeostat calibrate`` writes it. None takes the model's own
            ``calibration.json``, where it has one.
        limits: The limits of an episode.
        redact: Whether secrets of known forms are replaced in traces and on the terminal
            (:mod:`homeostat.redaction`). Building the agent sets it for the whole process. What the model sees and the
            environment gets is never changed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = Field("homeostat/nano", min_length=1)
    planner: str | None = None
    sensors: tuple[str, ...] = ("attention_drift", "confidence")
    controllers: tuple[str, ...] = ("default",)
    heads: Path | None = None
    calibration: Path | None = None
    limits: LoopLimits = LoopLimits()
    redact: bool = True

    @field_validator("sensors", "controllers", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        """A text with commas as a tuple of names."""
        return tuple(name.strip() for name in value.split(",") if name.strip()) if isinstance(value, str) else value

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Reads a specification from a YAML file with the fields of this class.

        Args:
            path: The file.

        Returns:
            The specification.

        Raises:
            ConfigError: The file can't be read, or a field is unknown or has a wrong value.
        """
        where = f"agent file {os.fspath(path)!r}"
        try:
            data = read_yaml(Path(path))
        except DataError as error:
            raise ConfigError(f"{where} can't be read: {error}; give a YAML file") from None
        if not isinstance(data, dict):
            raise ConfigError(f"{where} holds {type(data).__name__}; write a mapping with the fields of AgentSpec")
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            first = error.errors()[0]
            field = clipped(visible(".".join(map(str, first["loc"]))), 80)
            raise ConfigError(f"{where}: {field}={quoted(first['input'])}: {first['msg']}") from None

    def check(self) -> None:
        """Checks everything that can be checked before a model is loaded.

        Raises:
            ConfigError: A name is unknown, the controllers contradict each other, or a file belongs to another model.
            ModelError: The model can't be found.
        """
        self._sensors(frozenset())
        self._cascade()

    def build(self) -> Agent:
        """Loads the models and builds the agent.

        Returns:
            The agent. The same specification always builds the same agent.

        Raises:
            ConfigError: A name is unknown, or the parts don't fit together.
            ModelError: A model can't be loaded.
        """
        from homeostat.agent.agent import Agent
        from homeostat.agent.models.transformers_model import TransformersModel
        from homeostat.agent.registry import calibrated

        set_redaction(self.redact)
        cascade = self._cascade()
        self._sensors(frozenset())
        model = TransformersModel.load(self.model, **self.load_options())
        sensors = calibrated(self._sensors(model.capabilities), self.model, self.calibration)
        name = (self.planner or model.style.planner) if cascade.plans else None
        planner = TransformersModel.load(name, **self.other_load_options()) if name else None
        return Agent(model, sensors, cascade, limits=self.limits, planner=planner)

    def _cascade(self) -> Cascade:
        from homeostat.agent.registry import controllers_of

        return controllers_of(self.controllers, self.model, self.heads)

    def _sensors(self, capabilities: frozenset[Any]) -> tuple[Sensor, ...]:
        from homeostat.agent.registry import sensors_for
        from homeostat.controllers.registry import preset_sensors

        return sensors_for(preset_sensors(self.controllers), capabilities, wanted=self.sensors)
