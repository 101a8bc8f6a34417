"""ACT, VAR and PAINT as decisions: which slots, which rule, how often; and head profiles on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from homeostat.actions import Click
from homeostat.controllers import (
    ControlContext,
    HeadProfile,
    Proceed,
    Recalibrate,
    Record,
    SteerAttention,
    check_controller,
    controllers_for,
)
from homeostat.errors import ConfigError
from homeostat.sensors import Actuator, Centric, Reading

CONTEXT = ControlContext(phase="attempt", goal="g", instruction="g", action=Click(point=(0.5, 0.5)), step=3)
SINKS = {20: 0.2, 21: 0.3, 40: 0.4}


def reading(
    sensor: str,
    sinks: dict[int, float] | None = None,
    others: dict[int, float] | None = None,
    layers: dict[int, tuple[int, ...]] | None = None,
) -> Reading:
    return Reading(sensor=sensor, value=0.5, sinks=sinks or {}, other_sinks=others or {}, layer_sinks=layers or {})


def test_act_mean_takes_from_every_sink_but_the_first_token() -> None:
    found = reading("sink_rate", {0: 0.9} | SINKS)
    heads = frozenset({(2, 1)})
    decision = Recalibrate.act_mean(heads).decide([found], CONTEXT)
    assert isinstance(decision, SteerAttention)
    assert decision.actuators == (Actuator(((20, 22), (40, 41)), scale=0.4, heads=heads, from_layer=2),)
    assert Recalibrate.act_mean().decide([reading("sink_rate", {0: 0.9})], CONTEXT) == Proceed()


def test_var_has_the_sinks_of_each_layer_that_has_one_in_the_image() -> None:
    layers = {0: (0, 20), 1: (0, 20), 2: (0, 20, 21), 3: (0,), 4: (0, 20, 21), 5: (40,), 6: ()}
    found = reading("visual_sinks", SINKS, {0: 99.0}, layers)
    decision = Recalibrate.var().decide([found], CONTEXT)
    assert isinstance(decision, SteerAttention)
    assert [(rule.span, rule.layers) for rule in decision.actuators] == [
        (((0, 1), (20, 22)), {2, 4}),
        (((40, 41),), {5}),
    ]
    for rule in decision.actuators:
        assert (rule.scale, rule.to, rule.where) == (0.6, "screen", Centric("screen", 0.2, 0.5))
        assert (rule.after, rule.to_layer) == ("screen", -1)
    assert Recalibrate.var().decide([reading("visual_sinks", None, {0: 99.0}, {2: (0,)})], CONTEXT) == Proceed()


def test_var_union_gives_all_sinks_mass_to_the_image_in_rows_that_look_at_it() -> None:
    found = reading("visual_sinks", SINKS, {0: 99.0})
    decision = Recalibrate.var_union().decide([found], CONTEXT)
    assert isinstance(decision, SteerAttention)
    (rule,) = decision.actuators
    assert rule.span == ((0, 1), (20, 22), (40, 41))
    assert (rule.scale, rule.to, rule.where) == (0.6, "screen", Centric("screen", 0.2, 0.5))


def test_paint_stretches_local_and_summary_tokens_differently() -> None:
    decision = Recalibrate.paint_sinks().decide([reading("visual_sinks", SINKS)], CONTEXT)
    assert isinstance(decision, SteerAttention)
    local, summary = decision.actuators
    assert (local.span, local.stretch, local.rows) == ("screen", 0.7, "output")
    assert (local.stretch or 0) + (summary.stretch or 0) == pytest.approx(0.35)
    assert summary.span == ((20, 22), (40, 41))
    alone = Recalibrate.paint_sinks().decide([reading("visual_sinks")], CONTEXT)
    assert isinstance(alone, SteerAttention)
    assert len(alone.actuators) == 1


def test_once_a_step_and_on_alarm_where_that_is_asked() -> None:
    found = reading("sink_rate", SINKS)
    steered = CONTEXT.model_copy(
        update={"decisions": (Record(step=3, attempt=0, controller="act-mean", kind="steer"),)}
    )
    assert Recalibrate.act_mean().decide([found], steered) == Proceed()
    wary = Recalibrate(
        name="x", rule="act-mean", strength=0.4, sensor="sink_rate", when="alarm", alarms=frozenset({"confidence"})
    )
    assert wary.sensors == {"sink_rate", "confidence"}
    assert wary.decide([found], CONTEXT) == Proceed()
    alarm = Reading(sensor="confidence", value=0.1, alarm=True)
    assert isinstance(wary.decide([found, alarm], CONTEXT), SteerAttention)


@pytest.mark.parametrize(
    "controller", [Recalibrate.act_mean(), Recalibrate.var(), Recalibrate.var_union(), Recalibrate.paint_sinks()]
)
def test_they_keep_the_contract(controller: Any) -> None:
    check_controller(controller)


def test_a_profile_survives_the_disk_and_gives_presets_their_heads(tmp_path: Path) -> None:
    made = HeadProfile(
        model="m",
        weights="abc",
        heads={"pasta": frozenset({(1, 2), (0, 3)}), "vhr": frozenset({(2, 2)}), "act": frozenset()},
        gains={"zero-tuning": 0.5, "instaboost": 7.0},
    )
    made.save(tmp_path / "heads.json")
    read = HeadProfile.load(tmp_path / "heads.json")
    assert read == made
    assert read.of("act") is None
    (pasta,) = controllers_for("pasta", read).controllers
    assert pasta.actuators == (Actuator("goal", gain=0.01, reach="outside", heads=frozenset({(1, 2), (0, 3)})),)
    (vhr,) = controllers_for("vhr", read).controllers
    assert vhr.actuators == (Actuator(None, output=2.0, heads=frozenset({(2, 2)})),)
    (first,) = controllers_for("zero-tuning", read).controllers
    assert first.actuators == (Actuator(((0, 1),), gain=0.5),)
    (boost,) = controllers_for("instaboost", read).controllers
    assert boost.actuators == (Actuator("goal", gain=7.0, reach="prefix"),)
    with pytest.raises(ConfigError, match="create it again"):
        read.check("m", "other")


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "not JSON"), ("[]", "holds a list"), ('{"model": 3}', "model=3"), ('{"heads": {}}', "model=")],
)
def test_a_profile_that_is_none_is_named(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "heads.json"
    file.write_text(text)
    with pytest.raises(ConfigError, match=message):
        HeadProfile.load(file)
    with pytest.raises(ConfigError, match="can't be read"):
        HeadProfile.load(tmp_path / "nowhere.json")


def test_vision_heads_that_nobody_looked_for_are_said_to_be_missing() -> None:
    with pytest.raises(ConfigError, match="homeostat profile"):
        controllers_for("vhr")
