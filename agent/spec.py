"""``AgentSpec``: an agent as data. YAML files, the command line, the harness and Python all build agents from it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, ValidationError, field_validator

from homeostat.agent.loop.limits import LoopLimits
from homeostat.agent.memory.settings import SpanMemory
from homeostat.agent.models.server_names import is_served, served_model
from homeostat.data_files import DataError, read_yaml
from homeostat.errors import ConfigError
from homeostat.foreign_text import clipped, quoted, visible
from homeostat.model_options import ModelOptions
from homeostat.redaction import set_redaction
from homeostat.sensors.contracts import Sensor

if TYPE_CHECKING:
    from homeostat.agent.agent import Agent
    from homeostat.controllers.cascade import Cascade
    from homeostat.sensors import ConflictProbe

__all__ = ["AgentSpec"]

_QUANTIZED = "it quantises with engine_options, such as quantization=bitsandbytes"


class AgentSpec(ModelOptions):
    """Everything that makes an agent: its models, sensors, controllers and limits.

    With no arguments it describes the agent that ``homeostat run`` uses. How the models are loaded (``device``,
    ``dtype``, ``revision``, ``quantization``) is said by the fields of :class:`~homeostat.model_options.ModelOptions`.

    Attributes:
        model: The model that acts: a hub name, a folder, a GGUF file, or the name of an embedded model. On a server:
            ``openai:NAME``, or the server's address (``http://HOST:PORT``, with ``#NAME`` for one of several models).
        base_url: The address of the OpenAI-compatible server of ``openai:NAME``; None takes ``$OPENAI_BASE_URL``, else
            OpenAI. The key is read from ``$OPENAI_API_KEY``.
        planner: The model that splits goals and reads screens. None takes the one that the model's prompt style names,
            else the model itself; it is loaded only where a controller plans.
        sensors: Names of sensors to read besides those that the controllers need (``homeostat list sensors``). A sensor
            that needs what the model does not offer is left out, with a word (:attr:`~homeostat.Agent.degraded`).
        controllers: Names of controllers in the order in which they are asked (``homeostat list controllers``);
            ``"none"`` for the bare model. A text with names between commas is accepted too.
        heads: A file of attention heads, as ``homeostat profile`` writes it. None takes the model's own ``heads.json``,
            where it has one.
        calibration: A file of alarm thresholds, as ``homeostat calibrate`` writes it. None takes the model's own
            ``calibration.json``, where it has one.
        probe: What ``homeostat fit-probe`` wrote, a file or its folder. It makes the sensor ``conflict_probe``, which
            is then read, and which the controllers ``system-reminders`` and ``pull`` need. None takes the model's own
            ``probe.json`` where a controller needs it.
        engine: What runs the acting model's weights: ``"transformers"``, or ``"vllm"``
            (:class:`~homeostat.agent.vllm.VLLMModel`). A planner of its own is always loaded with transformers.
        engine_options: Further arguments of vLLM's engine, such as ``{"max_model_len": 4096}``.
        limits: The limits of an episode.
        memory: How the acting model's key-value cache is thinned in long episodes: a share of the tokens such as 0.25,
            or the fields of :class:`~homeostat.agent.memory.SpanMemory`. None keeps every key.
        redact: Whether secrets of known forms are replaced in traces and on the terminal
            (:mod:`homeostat.redaction`). Building the agent sets it for the whole process. What the model sees and the
            environment gets is never changed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = Field("homeostat/nano", min_length=1)
    base_url: str | None = None
    planner: str | None = None
    sensors: tuple[str, ...] = ("attention_drift", "confidence")
    controllers: tuple[str, ...] = ("default",)
    heads: Path | None = None
    calibration: Path | None = None
    probe: Path | None = None
    engine: Literal["transformers", "vllm"] = "transformers"
    engine_options: dict[str, Any] = Field(default_factory=dict)
    limits: LoopLimits = LoopLimits()
    memory: SpanMemory | Annotated[float, Field(gt=0)] | None = None
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
        probe = self._probe()
        self._sensors(frozenset(), probe)
        self._check_served()
        self._check_engine()
        self._cascade(probe)

    def build(self) -> Agent:
        """Loads the models and builds the agent.

        Returns:
            The agent. The same specification always builds the same agent.

        Raises:
            ConfigError: A name is unknown, or the parts don't fit together.
            ModelError: A model can't be loaded.
        """
        from homeostat.agent.agent import Agent
        from homeostat.agent.models.any_model import load_model
        from homeostat.agent.registry import calibrated, lacking, left_out
        from homeostat.controllers.registry import preset_sensors

        set_redaction(self.redact)
        probe = self._probe()
        cascade = self._cascade(probe)
        self._sensors(frozenset(), probe)
        self._check_served()
        self._check_engine()
        options = self.load_options() if self.memory is None else {**self.load_options(), "memory": self.memory}
        if self.engine == "vllm":
            options = {"engine": self.engine, "engine_options": self.engine_options, **self.load_options()}
        model = load_model(self.model, **self._options_of(self.model, options))
        needed = preset_sensors(self.controllers)  # where the model can't feed these, the agent says so
        fed = tuple(s for s in self._sensors(model.capabilities, probe) if s.name in needed or not lacking(s, model))
        sensors = calibrated(fed, self.model, self.calibration)
        name = (self.planner or model.style.planner) if cascade.plans else None
        planner = load_model(name, **self._options_of(name, self.other_load_options())) if name else None
        agent = Agent(model, sensors, cascade, limits=self.limits, planner=planner)
        agent.degraded |= left_out(sensors, self.sensors, model)
        return agent

    def _options_of(self, name: str, loading: dict[str, Any]) -> dict[str, Any]:
        """How a model is loaded, or where it is served. Options for weights don't concern a server's model."""
        if not is_served(name):
            return loading
        return {"base_url": self.base_url} if name.startswith("openai:") else {}

    def _check_served(self) -> None:
        """Raises ConfigError for a wrong address, and for options that concern no model here."""
        served = [name for name in (self.model, self.planner) if name is not None and is_served(name)]
        for name in served:
            served_model(name, self.base_url if name.startswith("openai:") else None)
        if self.base_url is not None and not any(name.startswith("openai:") for name in served):
            raise ConfigError(f"base_url={self.base_url!r} goes with a model on a server; name it openai:NAME")
        if self.memory is not None and is_served(self.model):
            raise ConfigError(f"memory={self.memory!r} thins a cache of this process; {self.model!r} is on a server")
        if is_served(self.model) and (self.planner is None or is_served(self.planner)):
            for option, value in self.chosen_options().items():
                raise ConfigError(f"{option}={value!r} says how weights are loaded, but {self.model!r} is on a server")

    def _check_engine(self) -> None:
        """Raises ConfigError for what the engine can't do, before anything is loaded."""
        if self.engine == "transformers":
            if self.engine_options:
                raise ConfigError(f"engine_options={self.engine_options!r} go with engine='vllm'; leave them out")
            return
        from homeostat.agent.vllm.engine_options import require_vllm

        if is_served(self.model):
            raise ConfigError(f"engine={self.engine!r} runs weights, but {self.model!r} is on a server; leave it out")
        if self.memory is not None:
            raise ConfigError(f"memory={self.memory!r} thins a cache of transformers; the engine vllm has its own")
        for name, way in (("device", "vLLM takes the device that it is built for"), ("quantization", _QUANTIZED)):
            if (value := getattr(self, name)) is not None:
                raise ConfigError(f"{name}={value!r} is not for the engine vllm: {way}; leave it out")
        require_vllm()

    def _cascade(self, probe: ConflictProbe | None) -> Cascade:
        from homeostat.agent.registry import controllers_of

        return controllers_of(self.controllers, self.model, self.heads, probe)

    def _sensors(self, capabilities: frozenset[Any], probe: ConflictProbe | None) -> tuple[Sensor, ...]:
        from homeostat.agent.registry import sensors_for
        from homeostat.controllers.registry import preset_sensors

        wanted = (*self.sensors, "conflict_probe") if self.probe is not None else self.sensors
        return sensors_for(preset_sensors(self.controllers), capabilities, wanted=wanted, probe=probe)

    def _probe(self) -> ConflictProbe | None:
        """The learned reading of conflicts, if it is read. Loading it reads the whole weights, for their hash."""
        from homeostat.agent.registry import needed_probe

        return needed_probe(self.controllers, self.sensors, self.model, self.probe)
