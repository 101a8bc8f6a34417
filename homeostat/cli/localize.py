"""``homeostat localize``: which layers and heads drift when instructions conflict."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Literal

import typer
from pydantic import Field

from homeostat.cli.settings import command_of
from homeostat.settings import Settings, save_settings

__all__ = ["LocalizeSettings", "command"]


class LocalizeSettings(Settings):
    """Fields are the command's flags."""

    suite: Literal["phone", "chat"] = Field("phone", description="Whose twins: phone or chat.")
    split: Literal["train", "dev"] = Field("train", description="Whose wordings and words; never the test split's.")
    kinds: list[str] = Field([], description="Only these kinds. Default: all.")
    count: int = Field(270, ge=1, description="Pairs of twins (those with spans of equal length are read).")
    top: float = Field(0.2, gt=0, le=1, description="Share of the heads that counts as focal.")
    causal: int = Field(54, ge=0, description="Conflicts for the causal check; 0: none.")
    factor: float = Field(
        0.1, gt=0, description="The causal check: what the attention on the higher span is multiplied by."
    )
    draws: int = Field(10, ge=1, description="The causal check: sets of random heads.")
    out: Path = Field(Path("runs/localize"), description="Where localization.json, heat.png and the config go.")


def _run(settings: LocalizeSettings, dry_run: bool) -> None:
    from rich.console import Console

    from homeostat.alignment.conflicts.chat import CHAT_KINDS, chat_twins
    from homeostat.alignment.conflicts.phone import PHONE_KINDS, phone_twins
    from homeostat.alignment.sail.adapters import load_adapted
    from homeostat.alignment.sail.localize import causal_check, localize
    from homeostat.alignment.sail.plots import heat_map

    model = load_adapted(settings.model, settings.device, settings.dtype)
    if settings.suite == "phone":
        source = phone_twins(model.style, settings.split, settings.seed, tuple(settings.kinds or PHONE_KINDS))
    else:
        source = chat_twins(settings.split, settings.seed, tuple(settings.kinds or CHAT_KINDS))
    twins = list(islice(source, settings.count))
    if dry_run:
        typer.echo(f"{len(twins)} pairs of twins")
        return
    save_settings(settings, settings.out)
    found = localize(model, twins, top=settings.top)
    if settings.causal:
        cases = [both.conflict for both in twins[: settings.causal]]
        told = causal_check(model, cases, found.heads, factor=settings.factor, draws=settings.draws, seed=settings.seed)
        found = found.model_copy(update={"causal": told})
    found.save(settings.out / "localization.json")
    heat_map(found, settings.out / "heat.png")
    console = Console(highlight=False)
    heads = ", ".join(f"{layer}.{head}" for layer, head in found.heads)
    console.print(f"focal layers {', '.join(map(str, found.layers))}; heads {heads}; {found.twins} pairs of twins read")
    if found.causal is not None:
        told = found.causal
        moved = told.margin_focal - told.margin_plain
        others = [m - told.margin_plain for m in told.margin_random]
        console.print(
            f"causal check {'holds' if told.holds else 'DOES NOT HOLD'}: attention on the higher instruction x "
            f"{told.factor} moves the margin by {moved:+.3f} nats in focal heads, by {min(others):+.3f} to "
            f"{max(others):+.3f} in {len(others)} sets of as many others"
        )
    typer.echo(f"{settings.out}: localization.json, heat.png")


command = command_of(
    LocalizeSettings,
    _run,
    """Find the heads and layers whose attention drifts between aligned and conflicting twins; check that they matter.

    The file is what `homeostat align` reads.
    """,
)
