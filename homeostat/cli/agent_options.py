"""The options that describe an agent, shared by the commands that build one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from homeostat.agent.spec import AgentSpec

__all__ = ["Agent", "Calibration", "Controllers", "Device", "Dtype", "Heads", "Model", "Planner", "agent_from"]

Agent = Annotated[
    Path | None,
    typer.Option(
        "--agent", help="A YAML file that describes the agent (fields of AgentSpec). Options here win over it."
    ),
]
Model = Annotated[
    str | None, typer.Option(help="The model: a name on the Hugging Face hub, or a folder. Default: homeostat/nano.")
]
Controllers = Annotated[
    str | None,
    typer.Option(help="The controllers, in order: names with commas, 'default', or 'none' for the bare model."),
]
Planner = Annotated[
    str | None, typer.Option(help="Another model that splits the goal and reads screens: a name or a folder.")
]
Heads = Annotated[
    Path | None,
    typer.Option(help="Attention heads to steer, as 'homeostat profile' writes them. Default: the model's own file."),
]
Calibration = Annotated[
    Path | None,
    typer.Option(help="Alarm thresholds, as 'homeostat calibrate' writes them. Default: the model's own file."),
]
Device = Annotated[
    str | None, typer.Option(help="Where the model runs, such as cuda or cpu. Default: the best there is.")
]
Dtype = Annotated[
    str | None, typer.Option(help="The weights' type: float32, bfloat16 or float16. Default: by device and size.")
]


def agent_from(file: Path | None, defaults: dict[str, Any] | None = None, **options: Any) -> AgentSpec:
    """Builds a specification from a file and options.

    Args:
        file: A YAML file; None begins with the defaults.
        defaults: Fields that differ from the defaults of ``AgentSpec`` where neither file nor option gives them.
        options: Fields that the command line gives; None leaves a field as it is.

    Returns:
        The specification.

    Raises:
        ConfigError: The file or an option can't be.
    """
    from pydantic import ValidationError

    from homeostat.agent.spec import AgentSpec
    from homeostat.errors import ConfigError

    given = {name: value for name, value in options.items() if value is not None}
    base: dict[str, Any] = dict(defaults or {})
    if file is not None:
        loaded = AgentSpec.load(file)
        base |= {name: getattr(loaded, name) for name in loaded.model_fields_set}
    try:
        return AgentSpec.model_validate(base | given)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else "agent"
        raise ConfigError(f"--{name.replace('_', '-')} {first['input']!r}: {first['msg']}") from None
