"""Red herrings: further apps that look like the task's own, holding items of the same names."""

from __future__ import annotations

from typing import Any

from homeostat.envs.phone.adversity.base import Adversity
from homeostat.envs.phone.adversity.trajectory import oracle_trajectory, subtasks_of
from homeostat.envs.phone.apps.decoys import DECOYS, Decoy
from homeostat.envs.phone.env import PhoneEnv
from homeostat.errors import ConfigError

__all__ = ["Distractors"]

_ROWS = 8


class Distractors(Adversity):
    """``apps`` decoys are installed: those of the apps that the task needs first, then others.

    A decoy holds up to eight items with the titles of real ones, the task's among them, beside other items' values: so
    what is read there is wrong, and what is done there is a side effect.
    """

    name = "distractors"

    def __init__(self, env: PhoneEnv | Adversity, apps: int = 2) -> None:
        super().__init__(env)
        if isinstance(apps, bool) or not isinstance(apps, int) or not 1 <= apps <= len(DECOYS):
            raise ConfigError(f"distractors' apps {apps!r} are out of range; choose 1 to {len(DECOYS)}")
        self.apps = apps

    def options(self) -> dict[str, Any]:
        """How many apps."""
        return {"apps": self.apps}

    def begin(self) -> None:
        """Install and fill them."""
        rng, device, instance = self.draw(), self.device, self.phone.instance
        needed = oracle_trajectory(self.inner).apps if instance is not None else []
        decoys = {d.of: d for d in DECOYS.values() if d.of in device.apps and d.app.name not in device.apps}
        others = sorted(set(decoys) - set(needed))
        rng.shuffle(others)
        for of in [*(n for n in needed if n in decoys), *others][: self.apps]:
            device.install(decoys[of].app.name)
            self._fill(decoys[of])
        if instance is not None:
            instance.rebase(device.db)

    def _fill(self, decoy: Decoy) -> None:
        db, rng = self.device.db, self.draw("rows", decoy.of)
        named = {v for part in subtasks_of(self.phone) for v in part.slots.values()}
        rows = {row[0]: row for row in db.execute(decoy.query).fetchall()}
        titles = sorted(rows)
        rng.shuffle(titles)
        titles = sorted(titles, key=lambda t: t not in named)[:_ROWS]
        values = [rows[t][1:] for t in titles]
        values = [*values[1:], *values[:1]]  # each title beside the next one's values
        columns = ", ".join(f.name for f in decoy.app.fields)
        marks = ", ".join("?" for _ in decoy.app.fields)
        made = sorted((t, *v) for t, v in zip(titles, values, strict=True))
        db.executemany(f"insert into {decoy.app.table} ({columns}) values ({marks})", made)
        self.device.changed()
