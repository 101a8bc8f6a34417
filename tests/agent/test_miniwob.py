"""A web page through the loop: it ends the episode itself, and an episode goes on in another browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from homeostat.agent import Agent
from homeostat.envs.miniwob import MiniWobEnv
from homeostat.observation import Element


def pixels(element: Element) -> list[int]:
    left, top, right, bottom = element.box
    return [int((left + right) / 2 * 160), int((top + bottom) / 2 * 210)]


@pytest.mark.parametrize(("text", "ended", "success"), [("ONE", "success", True), ("TWO", "premature", False)])
def test_a_page_ends_the_episode(chromium: Any, tools: Any, text: str, ended: str, success: bool) -> None:
    env = MiniWobEnv("click-test-2")
    try:
        info = env.reset_task(seed=0)
        target = next(e for e in env.observe().elements if e.text == text)
        model = tools.Scripted([tools.call("open", text="notes"), tools.call("click", coordinate=pixels(target))])
        episode = Agent(model).run(info, env)
    finally:
        env.close()
    assert (episode.ended, episode.success, episode.steps) == (ended, success, 2)
    assert "the page ended the episode" in episode.reason


def test_an_episode_that_died_goes_on_in_another_browser(chromium: Any, tools: Any, tmp_path: Path) -> None:
    class Death(BaseException):
        pass

    def die(call: int) -> None:
        if call == 3:
            raise Death

    first, second = MiniWobEnv("enter-text"), MiniWobEnv("enter-text")
    try:
        info = first.reset_task(seed=0)
        elements = first.observe().elements
        field, button = (next(e for e in elements if e.role == role) for role in ("field", "button"))
        name = info.goal.split('"')[1]
        lines = [tools.call("click", coordinate=pixels(field)), tools.call("type", text=name)]
        model = tools.Scripted(lines, on_call=die)
        with pytest.raises(Death):
            list(Agent(model).start(info, first, run_folder=tmp_path / "run"))
        press = tools.Scripted([tools.call("click", coordinate=pixels(button))])
        episode = Agent(press).resume(tmp_path / "run", second).result
    finally:
        first.close()
        second.close()
    assert (episode.ended, episode.success, episode.steps) == ("success", True, 3)
