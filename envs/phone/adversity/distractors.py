"""Distractors: further apps that resemble the task's app and hold items of the same names."""

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
    """Installs decoys: first those of the apps that the task needs, then others.

    A decoy holds up to eight items with the titles of real items, the task's items among them, but with the values of
    other items. Therefore what is read there is wrong, and what is done there is a side effect.
    """

    name = "distractors"

    def __init__(self, env: PhoneEnv | Adversity, apps: int = 2) -> None:
        """Wraps a phone.

        Args:
            env: The phone or another adversity.
            apps: The number of decoys.

        Raises:
            ConfigError: ``apps`` is out of range.
        """
        super().__init__(env)
        if isinstance(apps, bool) or not isinstance(apps, int) or not 1 <= apps <= len(DECOYS):
            raise ConfigError(f"the number of distractors {apps!r} is out of range; choose 1 to {len(DECOYS)}")
        self.apps = apps

    def options(self) -> dict[str, Any]:
        """Returns the number of decoys."""
        return {"apps": self.apps}

    def decoys(self) -> frozenset[str]:
        """Returns the names of the decoys that are installed."""
        return super().decoys() | (set(DECOYS) & set(self.device.apps))

    def begin(self) -> None:
        """Installs and fills the decoys."""
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
        values = [*values[1:], *values[:1]]  # each title gets the values of the next one
        columns = ", ".join(f.name for f in decoy.app.fields)
        marks = ", ".join("?" for _ in decoy.app.fields)
        made = sorted((t, *v) for t, v in zip(titles, values, strict=True))
        db.executemany(f"insert into {decoy.app.table} ({columns}) values ({marks})", made)
        self.device.changed()
