"""The learned reading of conflicts as a part of an agent: found by file or in the model's folder, needed by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from homeostat import Agent
from homeostat.agent import AgentSpec
from homeostat.agent.events import Decide, Event
from homeostat.agent.models.loading import weights_hash
from homeostat.agent.request_env import RequestEnv
from homeostat.controllers import Pull, Remind, Reminder
from homeostat.conversation import Conversation
from homeostat.envs.core import TaskInfo
from homeostat.errors import ConfigError
from homeostat.sensors import ProbeWeights

HEADS = ((0, 1), (2, 3))


@pytest.fixture
def folder(tiny_qwen3: Callable[..., Any], tmp_path: Path) -> Path:
    model = tiny_qwen3()
    model.model.save_pretrained(tmp_path / "tiny")
    model.processor.save_pretrained(tmp_path / "tiny")
    return tmp_path / "tiny"


def learned(folder: Path, **changes: Any) -> ProbeWeights:
    """A probe that alarms at every prompt with both instructions."""
    fields: dict[str, Any] = {
        "model": str(folder),
        "weights": weights_hash(str(folder)),
        "higher": ("system",),
        "lower": ("goal", "user"),
        "heads": HEADS,
        "mean": (0.0,) * 4,
        "scale": (1.0,) * 4,
        "coefficients": (0.0,) * 4,
        "intercept": 1.0,
        "threshold": 0.0,
        "rate": 0.1,
        "prompts": 8,
    }
    return ProbeWeights(**(fields | changes))


def spec(folder: Path, **fields: Any) -> AgentSpec:
    given: dict[str, Any] = {"model": str(folder), "sensors": (), "limits": {"max_new_tokens": 6}} | fields
    return AgentSpec(**given)


def played(agent: Agent) -> list[Event]:
    chat = ({"role": "system", "content": "open the settings"}, {"role": "user", "content": "go home"})
    task = TaskInfo(name="t", goal="go home", rules=(), seed=0, optimal_steps=0, max_steps=1)
    run = agent.start(task, RequestEnv(Conversation(chat=chat), checks="nothing"))
    return list(run)


def test_pull_steers_the_probes_heads_on_its_alarm(folder: Path, tmp_path: Path) -> None:
    learned(folder).save(tmp_path / "fit" / "probe.json")
    agent = spec(folder, controllers="pull", probe=tmp_path / "fit").build()
    assert [sensor.name for sensor in agent.sensors] == ["conflict_probe"]
    (pull,) = agent.cascade.controllers
    assert isinstance(pull, Pull)
    assert pull.heads == frozenset(HEADS)
    taken = [event for event in played(agent) if isinstance(event, Decide)]
    assert [event.decision.kind for event in taken if event.controller == "pull"] == ["steer"]


def test_system_reminders_restate_the_system_message(folder: Path) -> None:
    learned(folder).save(folder / "probe.json")  # the model's own
    agent = spec(folder, controllers="system-reminders").build()
    (remind,) = agent.cascade.controllers
    assert isinstance(remind, Remind)
    taken = [event.decision for event in played(agent) if isinstance(event, Decide)]
    told = [decision.text for decision in taken if isinstance(decision, Reminder)]
    assert len(told) == 1
    assert "open the settings" in told[0]
    assert "go home" not in told[0]


def test_pull_reminders_do_both_in_one_attempt(folder: Path) -> None:
    learned(folder).save(folder / "probe.json")
    taken = [e.decision for e in played(spec(folder, controllers="pull-reminders").build()) if isinstance(e, Decide)]
    (told,) = [decision for decision in taken if isinstance(decision, Reminder)]
    assert "open the settings" in told.text
    (rule,) = told.actuators
    assert (rule.span, rule.gain, rule.heads) == ("system", 3.0, frozenset(HEADS))


def test_a_probe_is_read_where_it_is_named_and_only_there(folder: Path, tmp_path: Path) -> None:
    learned(folder).save(folder / "probe.json")
    assert not spec(folder, controllers="none").build().sensors
    named = spec(folder, controllers="none", sensors="conflict_probe").build()
    assert [sensor.name for sensor in named.sensors] == ["conflict_probe"]
    given = spec(folder, controllers="none", probe=folder / "probe.json").build()
    assert [sensor.name for sensor in given.sensors] == ["conflict_probe"]


def test_a_probe_that_is_missing_or_another_models_is_refused(folder: Path, tmp_path: Path) -> None:
    for fields in ({"controllers": "pull"}, {"controllers": "none", "sensors": "conflict_probe"}):
        with pytest.raises(ConfigError, match="run homeostat fit-probe, and pass its folder as probe"):
            spec(folder, **fields).check()
    learned(folder, weights="0123456789ab").save(tmp_path / "probe.json")
    with pytest.raises(ConfigError, match=r"was learned on .* \(0123456789ab\), not on"):
        spec(folder, controllers="pull", probe=tmp_path / "probe.json").build()
    with pytest.raises(ConfigError, match="on a server does not offer"):
        AgentSpec(model="openai:gpt", controllers="none", probe=tmp_path / "probe.json").check()
