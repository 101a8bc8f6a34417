"""``homeostat localize``: which heads and layers attend differently when instructions conflict."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Literal

import typer
from pydantic import Field

from homeostat.cli.loading import loading_shown
from homeostat.cli.settings import command_of
from homeostat.settings import Settings, save_settings

__all__ = ["LocalizeSettings", "command"]


class LocalizeSettings(Settings):
    """The settings of ``homeostat localize``; every field is a flag."""

    suite: Literal["phone", "chat", "team"] = Field("phone", description="Set of twins.")
    split: Literal["train", "dev"] = Field("train", description="Data split. The test split is never used here.")
    kinds: list[str] = Field([], description="Kinds of conflict. Default: all kinds.")
    count: int = Field(
        270, ge=1, description="Number of pairs of twins. Pairs whose spans differ in length are left out."
    )
    top: float = Field(0.2, gt=0, le=1, description="Share of all heads that are called focal.")
    causal: int = Field(54, ge=0, description="Number of conflicts for the causal check; 0 skips it.")
    factor: float = Field(
        0.1, gt=0, description="Causal check: factor on the attention that heads pay to the higher instruction."
    )
    draws: int = Field(10, ge=1, description="Causal check: number of random sets of heads to compare with.")
    out: Path = Field(
        Path("runs/localize"), description="Output folder for localization.json, heat.png and the config."
    )
    compare: tuple[Path, Path] | None = Field(
        None,
        description="Read no model: compare the focal heads of two localizations (files, folders or hub names) with "
        "random sets, and write OUT/comparison.json.",
    )


def _run(settings: LocalizeSettings, dry_run: bool) -> None:
    if settings.compare is not None:
        _compare(*settings.compare, settings.out, dry_run)
        return
    with loading_shown(settings.model):
        from rich.console import Console

        from homeostat.alignment.conflicts.chat import CHAT_KINDS, chat_twins
        from homeostat.alignment.conflicts.phone import PHONE_KINDS, phone_twins
        from homeostat.alignment.conflicts.team import TEAM_KINDS, team_twins
        from homeostat.alignment.sail.adapters import load_adapted
        from homeostat.alignment.sail.localize import causal_check, localize
        from homeostat.alignment.sail.plots import heat_map

        model = load_adapted(settings.model, **settings.load_options())
    if settings.suite == "phone":
        source = phone_twins(model.style, settings.split, settings.seed, tuple(settings.kinds or PHONE_KINDS))
    elif settings.suite == "team":
        source = team_twins(model.style, settings.split, settings.seed, tuple(settings.kinds or TEAM_KINDS))
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
        check = causal_check(
            model, cases, found.heads, factor=settings.factor, draws=settings.draws, seed=settings.seed
        )
        found = found.model_copy(update={"causal": check})
    found.save(settings.out / "localization.json")
    heat_map(found).save(settings.out / "heat.png")
    console = Console(highlight=False)
    heads = ", ".join(f"{layer}.{head}" for layer, head in found.heads)
    if found.twins < len(twins):
        console.print(
            f"{len(twins) - found.twins} of {len(twins)} pairs were left out, because their spans differ in length in "
            "this model's tokens, so that their attention can't be compared",
            soft_wrap=True,
        )
    console.print(
        f"focal layers {', '.join(map(str, found.layers))}; focal heads {heads}; {found.twins} pairs of twins were read"
    )
    if found.causal is not None:
        check = found.causal
        moved = check.margin_focal - check.margin_plain
        others = [m - check.margin_plain for m in check.margin_random]
        console.print(
            f"causal check {'holds' if check.holds else 'DOES NOT HOLD'}: scaling the attention on the higher "
            f"instruction by {check.factor} moves the margin by {moved:+.3f} nats in the focal heads, and by "
            f"{min(others):+.3f} to {max(others):+.3f} nats in {len(others)} random sets of as many other heads"
        )
    typer.echo(f"{settings.out}: localization.json, heat.png")


def _compare(one: Path, other: Path, out: Path, dry_run: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    from homeostat.alignment.sail.comparison import compare_heads
    from homeostat.alignment.sail.localization import Localization

    found = compare_heads(Localization.from_pretrained(one), Localization.from_pretrained(other))
    table = Table("layer", "focal in A", "focal in B", "in both", "expected", box=None, header_style="bold")
    for row in found.layers:
        table.add_row(str(row.layer), str(row.one), str(row.other), str(row.shared), f"{row.expected:.2f}")
    console = Console(highlight=False)
    console.print(table)
    shared = ", ".join(f"{layer}.{head}" for layer, head in found.shared) or "none"
    rank = "not defined" if found.rank_correlation is None else f"{found.rank_correlation:+.2f}"
    for line in (
        f"A: {one}, {found.focal_one} of {found.heads} heads; B: {other}, {found.focal_other}",
        f"in both: {shared}",
        f"{len(found.shared)} heads are shared (Jaccard {found.jaccard:.2f}); a random set of equal size shares "
        f"{found.expected:.1f}, and as many or more with p = {found.more:.2g}",
        f"a random set of equal size in every layer shares {found.expected_in_layers:.1f}, and as many or more with "
        f"p = {found.more_in_layers:.2g}",
        f"rank correlation of the scores over all heads: {rank}",
    ):
        console.print(line, soft_wrap=True, markup=False)
    if not dry_run:
        found.save(out / "comparison.json")
        typer.echo(f"{out}: comparison.json")


command = command_of(
    LocalizeSettings,
    _run,
    """Find the heads and layers whose attention changes when instructions conflict.

    It reads pairs of twins: a conflict, in which two instructions contradict each other, and the same prompt in which
    they agree. The heads that differ most are called focal. A causal check tests whether those heads matter.
    `homeostat align` reads the output. With `--compare A B` no model is read: the focal heads of two earlier outputs
    are compared with each other.

    \b
    Examples:
      homeostat localize --suite chat --model Qwen/Qwen2.5-Coder-0.5B-Instruct
      homeostat localize --compare runs/one runs/other --out runs/compared
    """,
)
