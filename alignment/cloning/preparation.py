"""Prepares a run of ``homeostat clone --model``: tasks, model, prompt style, layers and packing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from homeostat.agent.models.adapters import adapter_base, is_adapter
from homeostat.agent.models.loading import load_style, load_weights, resolve
from homeostat.agent.models.transformers_model import TransformersModel
from homeostat.agent.prompts import PromptStyle, brief
from homeostat.alignment.cloning.packing import packs_alike
from homeostat.alignment.cloning.rows import Row, tokenise
from homeostat.alignment.cloning.settings import CloneSettings
from homeostat.alignment.cloning.tasks import Lessons, sources
from homeostat.alignment.cloning.training import units
from homeostat.alignment.sail.layout import adapter_targets, find_decoder
from homeostat.errors import ConfigError

__all__ = ["CloneData", "prepare_clone"]

_TRIED = 4  # rows with which packing is tried out


@dataclass(frozen=True)
class CloneData:
    """Everything that a run needs before its first step.

    Attributes:
        settings: The settings.
        model: The model, with the prompt style that it is trained in.
        lessons: The demonstrated episodes; the held-out ones come behind those of training.
        layers: The layers to adapt, ascending.
        targets: Full names of the matrices to adapt.
        first: The rows of the first episode.
        packed: Whether prompts share sequences.
    """

    settings: CloneSettings
    model: TransformersModel
    lessons: Lessons
    layers: tuple[int, ...]
    targets: tuple[str, ...]
    first: tuple[Row, ...]
    packed: bool

    def held_out(self) -> list[Any]:
        """Returns the held-out demonstrations."""
        s = self.settings
        most = s.pack if self.packed else 0
        found = (self.lessons.episode(n) for n in range(s.episodes, s.episodes + s.held_out))
        return [unit for rows in found for unit in units(tokenise(self.model, rows), most)]


def prepare_clone(settings: CloneSettings) -> CloneData:
    """Loads and checks everything, and demonstrates the first episode. Nothing is written.

    Args:
        settings: The run's settings.

    Returns:
        The preparation. Close its lessons in the end.

    Raises:
        ConfigError: The tasks, the layers, the targets or the style don't suit the model.
        ModelError: The model can't be loaded or adapted.
    """
    from_suites = sources(settings.suite, settings.env, settings.seed, settings.episodes + settings.held_out)
    source = resolve(settings.model, settings.revision)
    _check_adapter(settings, source)
    network, processor = load_weights(source, **settings.load_options())
    own = load_style(
        source if settings.adapter is None else str(settings.adapter), network.config.model_type, processor
    )
    style = _style(settings, own)
    model = TransformersModel(network, processor, name=settings.model, style=style, reuse=False)
    count = len(find_decoder(network))
    layers = range(count) if settings.layers == "all" else sorted({int(p) for p in settings.layers.split(",")})
    targets = adapter_targets(network, layers, settings.targets)
    lessons = Lessons(model, from_suites, settings.seed, settings.noise, settings.goals)
    shown = next((found for n in range(settings.episodes) if (found := lessons.episode(n))), None)
    if shown is None:
        raise ConfigError(f"suite {settings.suite!r}: the solution reaches the end of none of its tasks; give another")
    rows = tokenise(model, shown)
    packed = bool(settings.pack) and packs_alike(network, rows[:_TRIED])
    return CloneData(settings, model, lessons, tuple(layers), tuple(targets), tuple(rows), packed)


def _check_adapter(settings: CloneSettings, source: str) -> None:
    """Raises ConfigError where the adapter that is trained further belongs to another model."""
    if is_adapter(source):
        raise ConfigError(f"model {settings.model!r} is an adapter; give it as adapter, and its base model as model")
    if settings.adapter is None:
        return
    if not is_adapter(str(settings.adapter)):
        raise ConfigError(f"adapter {str(settings.adapter)!r} holds no adapter_config.json; give an adapter's folder")
    if resolve(base := adapter_base(str(settings.adapter)), settings.revision) != source:
        raise ConfigError(f"adapter {str(settings.adapter)!r} belongs to {base!r}, not to {settings.model!r}")


def _style(settings: CloneSettings, own: PromptStyle) -> PromptStyle:
    """The style to train in."""
    if settings.style is None:
        return brief(own) if settings.brief else own
    from pydantic import ValidationError

    from homeostat.data_files import DataError, read_text

    try:
        found = PromptStyle.model_validate_json(read_text(settings.style))
    except (DataError, ValidationError) as error:
        reason = str(error).strip().partition("\n")[0][:160]
        raise ConfigError(f"style {str(settings.style)!r} is no prompt style ({reason}); see PromptStyle") from None
    return brief(found) if settings.brief else found
