"""Controllers by name: those of other packages stand beside ours, and their faults are named."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from homeostat.controllers import (
    PRESETS,
    HeadProfile,
    Proceed,
    controller_names,
    controllers_for,
    preset_sensors,
)
from homeostat.errors import ComponentError, ConfigError, UnknownName

MODULE = '''
from homeostat.controllers import Guard, Preset, Proceed
from homeostat.errors import ConfigError


class Calm:
    """Wants nothing. Ever."""

    name = "calm"
    sensors = frozenset({"confidence"})

    def decide(self, readings, context):
        return Proceed()


class Needy(Calm):
    """Needs a setting."""

    def __init__(self, setting):
        pass


def _two(profile):
    return (Guard(), Calm())


def _headless(profile):
    raise ConfigError("no heads")


def _buggy(profile):
    raise ZeroDivisionError("oh")


both = Preset("both", "a guard and calm", _two, frozenset({"rhythm"}))
headless = Preset("headless", "", _headless)
buggy = Preset("buggy", "", _buggy)
number = 3


def empty():
    return object()
'''
ENTRIES = """
[homeostat.controllers]
calm = third_controllers:Calm
both = third_controllers:both
guard = third_controllers:Calm
needy = third_controllers:Needy
headless = third_controllers:headless
buggy = third_controllers:buggy
number = third_controllers:number
empty = third_controllers:empty
gone = third_gone:Gone
"""


@pytest.fixture(autouse=True)
def third_party(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An installed distribution that registers controllers."""
    (tmp_path / "third_controllers.py").write_text(MODULE)
    info = tmp_path / "third_controllers-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: third-controllers\nVersion: 1.0\nSummary: Calm ones\n")
    (info / "entry_points.txt").write_text(ENTRIES)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "third_controllers", raising=False)


def test_all_names_are_listed_without_importing_the_other_package() -> None:
    names = controller_names()
    assert list(names)[: len(PRESETS)] == list(PRESETS)
    assert names["calm"] == "Wants nothing. (third-controllers)"
    assert names["guard"] == PRESETS["guard"].summary
    assert names["gone"] == "(unavailable: no module 'third_gone') (third-controllers)"
    assert all(names.values())
    assert not any("\n" in text for text in names.values())
    assert "third_controllers" not in sys.modules


def test_a_class_or_a_preset_of_another_package_is_built_by_name() -> None:
    cascade = controllers_for("remind, calm")
    assert [c.name for c in cascade.controllers] == ["remind", "calm"]
    assert [type(c).__name__ for c in controllers_for(["both"], HeadProfile(model="m")).controllers] == [
        "Guard",
        "Calm",
    ]
    assert preset_sensors("calm") == {"confidence"}
    assert preset_sensors("both,remind") == {"rhythm", "attention_drift"}
    assert cascade.controllers[1].decide((), None) == Proceed()


def test_our_own_names_take_precedence() -> None:
    assert [type(c).__name__ for c in controllers_for("guard").controllers] == ["Guard"]


def test_an_unknown_name_is_compared_with_both() -> None:
    for name, nearest in (("calmm", "calm"), ("remid", "remind")):
        with pytest.raises(UnknownName, match=f"unknown controller '{name}'; did you mean '{nearest}'") as caught:
            controllers_for(name)
        assert "headless" in str(caught.value)
        with pytest.raises(UnknownName, match=nearest):
            preset_sensors(name)


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("needy", ComponentError, "controller 'needy' raised TypeError"),
        ("buggy", ComponentError, "controller 'buggy' raised ZeroDivisionError: oh"),
        ("headless", ConfigError, "no heads"),
        ("number", ConfigError, "controller 'number' is registered as 3; register a Preset"),
        ("empty", ConfigError, "controller 'empty' is built as <object"),
        ("gone", ConfigError, "third-controllers"),
        ("none,calm", ConfigError, "'none' stands alone"),
        ("calm,calm", ConfigError, "two controllers are named 'calm'"),
    ],
)
def test_a_faulty_registration_is_named(name: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        controllers_for(name)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
