"""MiniWoB++ tasks as an environment, with Gymnasium's interface and the agent loop's ``Env`` protocol."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Literal

from homeostat import actions as a
from homeostat.envs.core import TaskInfo
from homeostat.envs.gymnasium_adapter import GymnasiumAdapter
from homeostat.envs.miniwob.browser import find_binaries
from homeostat.envs.miniwob.elements import elements
from homeostat.envs.miniwob.fit import Fit
from homeostat.envs.miniwob.page import Node, Outcome, Page, page_size
from homeostat.envs.miniwob.tasks import task_names
from homeostat.errors import ActionError, ConfigError, EnvError, UnknownName
from homeostat.observation import Observation

__all__ = ["MiniWobEnv"]

_LONGEST = 5.0  # the largest duration in seconds of a wait or a long press; no page's own clock is slower
_DRAG_STEPS = 8
_SAME = """
var d = (core.flightChildWindow ? core.flightChildWindow() : window).document;
var hits = arguments[0].map(p => d.elementFromPoint(Math.floor(p[0]), Math.floor(p[1])));
return hits.slice(1).map(hit => hit !== null && hit === hits[0]);
"""


class MiniWobEnv(GymnasiumAdapter):
    """One browser, in which the tasks of :func:`task_names` are played one after another.

    A page ends most episodes itself, after the first wrong or the last right action. Then :attr:`ended` says why, and
    observations stay at the last screen before the end, because the page shows a blank cover. ``answer`` and
    ``terminate`` end an episode too. An episode is a success if the page's raw reward, without a penalty for time, is
    above 0. On one machine the same seed gives the same page and the same pixels, except for a few date pickers that
    mark the current day.
    """

    restores = True

    def __init__(
        self,
        task: str = "click-test",
        *,
        size: tuple[int, int] | None = None,
        mode: Literal["train", "test"] = "train",
        max_steps: int = 20,
        render_mode: str | None = None,
    ) -> None:
        """Checks the parameters. The browser starts at the first reset.

        Args:
            task: The task that a reset without a name starts.
            size: The screenshot's width and height in pixels. The browser draws the page as large as it fits, from the
                top left, so text stays sharp. None: the page's own size.
            mode: The data mode of the MiniWoB++ package.
            max_steps: The step budget.
            render_mode: Gymnasium's render mode.

        Raises:
            UnknownName: There is no such task or mode.
            ConfigError: A value is out of range, or MiniWoB++ or the browser is not installed.
        """
        if task not in task_names():
            raise UnknownName.of("task", task, task_names())
        if size is not None and not all(16 <= side <= 4096 for side in size):
            raise ConfigError(f"size {size!r} is out of range; give (width, height), each from 16 to 4096")
        if mode not in ("train", "test"):
            raise UnknownName.of("mode", mode, ("train", "test"))
        if max_steps < 1:
            raise ConfigError(f"max_steps {max_steps!r} is below 1; allow at least one step")
        find_binaries()
        self.task, self.mode, self.max_steps = task, mode, max_steps
        self.size = size or page_size(task)
        self.page = Page()
        self.info = TaskInfo(name=task, goal="", optimal_steps=0, max_steps=max_steps)
        self.steps = 0
        self._status, self._outcome = "", Outcome()
        self._actions: list[a.Action] = []
        self._observation: Observation | None = None
        self._root: Node | None = None
        self._fresh = False  # whether the last observation is still valid
        self._declare(*self.size, render_mode)

    def reset_task(self, task: str | None = None, *, seed: int | None = None) -> TaskInfo:
        """Loads a task's page and starts the seed's episode. ``optimal_steps`` is 0, because it is unknown.

        Raises ``EnvError`` if the browser fails. The next reset starts it again.
        """
        name = task if task is not None else self.task
        if name not in task_names():
            raise UnknownName.of("task", name, task_names())
        seed = int(self.np_random.integers(2**31)) if seed is None else seed
        self.fit = Fit(page_size(name), self.size)
        self.steps, self._status, self._outcome, self._actions = 0, "", Outcome(), []
        self._observation, self._root, self._fresh = None, None, False
        try:
            self.page.begin(name, seed, self.mode)
            goal = self.page.goal()
        except Exception:
            self.page.close()
            raise
        self.info = TaskInfo(
            name=name, goal=goal, seed=seed, optimal_steps=0, max_steps=self.max_steps, parts=(goal,) if goal else ()
        )
        return self.info

    def over(self) -> bool:
        """Returns whether the page or the agent has ended the episode."""
        return bool(self.ended)

    @property
    def ended(self) -> str:
        """Why the episode is over; empty while it goes on."""
        if self._outcome.done:
            reason = f" ({self._outcome.reason})" if self._outcome.reason else ""
            return f"the page ended the episode with reward {self._outcome.reward:g}{reason}"
        return self._status

    @property
    def reward(self) -> float:
        """The page's raw reward in [−1, 1]; 0 until the episode has ended."""
        return self._outcome.reward

    @property
    def actions(self) -> tuple[a.Action, ...]:
        """The actions since the reset."""
        return tuple(self._actions)

    def observe(self) -> Observation:
        """Returns the current screen; after the end of the episode, the last screen before it."""
        if not self._fresh:
            self._look()
        assert self._observation is not None
        return self._observation

    def dom(self) -> Node | None:
        """Returns the visible DOM of the screen that :meth:`observe` returns; None for an empty page."""
        self.observe()
        return self._root

    def same_target(self, point: tuple[float, float], others: Sequence[tuple[float, float]]) -> list[bool]:
        """Whether clicks at other points reach the same element as a click at a given point.

        Args:
            point: The normalised point.
            others: The other normalised points.

        Returns:
            One answer for each of the other points.
        """
        assert self.page.browser is not None
        places = [self.fit.to_page(p) for p in (point, *others)]
        return [bool(same) for same in self.page.browser.run(_SAME, places)]

    def _look(self) -> None:
        browser = self.page.browser
        if browser is None:
            raise EnvError("there is no page yet; reset the environment first")
        self.page.settle()
        root = self.page.root()
        image = browser.screenshot(*self.fit.page, self.fit.scale)
        self._outcome, self._fresh = self.page.outcome(), True
        if self._outcome.done and self._observation is not None:
            return  # the page ended the episode between two actions, so the screenshot may show its cover
        self._root = root
        self._observation = Observation(self.fit.place(image), elements(root, self.fit), self.info.name)

    def act(self, action: a.Action) -> None:
        """Carries an action out. Raises ``ActionError`` for an impossible one, which leaves the page unchanged."""
        self.observe()
        if self.ended:
            raise ActionError(f"{action.kind!r} after the end: {self.ended}; reset first")
        self._carry_out(action)
        self._actions.append(action)
        self.steps += 1
        if not self._status:
            self.page.settle()
            self._outcome = self.page.outcome()
        self._fresh = bool(self.ended)

    def _carry_out(self, action: a.Action) -> None:
        browser = self.page.browser
        assert browser is not None
        match action:
            case a.Click(point=point):
                browser.drag([self.fit.to_page(point)])
            case a.LongPress(point=point, seconds=seconds):
                browser.drag([self.fit.to_page(point)], hold=min(seconds, _LONGEST))
            case a.Swipe(point=start, to=end):
                browser.drag(_line(self.fit.to_page(start), self.fit.to_page(end)))
            case a.Type(text=text):
                if not self.page.focused():
                    raise ActionError(f"nothing takes {text!r}: no element has the focus; click a field first")
                browser.type(text)
            case a.SystemButton(button="Enter"):
                browser.press_enter()
            case a.SystemButton(button=button):
                raise ActionError(f"a page has no button {button!r}; use Enter, the only system button here")
            case a.Open(app=app):
                raise ActionError(f"there is no app {app!r}: this is one page; click on it instead")
            case a.Wait(seconds=seconds):
                time.sleep(min(seconds, _LONGEST))
            case a.Answer(text=text):
                self._status = f"the agent answered {text!r}"
            case a.Terminate(status=status):
                self._status = f"the agent terminated with {status!r}"

    def success(self) -> bool:
        """Returns whether the page's raw reward is above 0. Some pages reward a part of a task in part."""
        return self._outcome.done and self._outcome.reward > 0

    def snapshot(self) -> dict[str, Any]:
        """Returns the task, its seed and the actions so far, because the state of a page's scripts can't be saved."""
        return {
            "task": self.info.name,
            "seed": self.info.seed,
            "mode": self.mode,
            "size": list(self.size),
            "max_steps": self.max_steps,
            "actions": [action.model_dump(mode="json") for action in self._actions],
        }

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Starts the snapshot's task and plays its actions again, in this process or another."""
        self.mode, self.max_steps = snapshot["mode"], snapshot["max_steps"]
        self.size = (snapshot["size"][0], snapshot["size"][1])
        self._declare(*self.size, self.render_mode)
        self.reset_task(snapshot["task"], seed=snapshot["seed"])
        for action in snapshot["actions"]:
            self.act(a.action_from_dict(action))

    def close(self) -> None:
        """Ends the browser. A later reset starts another one."""
        self.page.close()


def _line(start: tuple[float, float], end: tuple[float, float]) -> list[tuple[float, float]]:
    shares = [i / _DRAG_STEPS for i in range(_DRAG_STEPS + 1)]
    return [(start[0] + s * (end[0] - start[0]), start[1] + s * (end[1] - start[1])) for s in shares]
