"""MiniWoB++ pages through the contract: same seeds, exact points, ends, refusals, snapshots."""

import hashlib
import json
import subprocess
import sys

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from homeostat import actions as a
from homeostat.envs.core import Env, SelfEnding
from homeostat.envs.miniwob import MiniWobEnv, task_names
from homeostat.envs.miniwob.fit import Fit
from homeostat.errors import ActionError


def centre(element):
    left, top, right, bottom = element.box
    return (left + right) / 2, (top + bottom) / 2


def named(env, text):
    return next(e for e in env.observe().elements if e.text == text)


def field(env):
    return next(e for e in env.observe().elements if e.role == "field")


def test_gymnasium_accepts_it(chromium):
    env = gymnasium.make("homeostat.envs.miniwob:homeostat/MiniWoB-v0", task="click-test", render_mode="rgb_array")
    try:
        check_env(env.unwrapped)
        assert isinstance(env.unwrapped, Env)
        assert isinstance(env.unwrapped, SelfEnding)
        assert gymnasium.spec("homeostat/MiniWoB-v0").to_json()
    finally:
        env.close()


def test_all_128_tasks_reset_and_show_a_page(web):
    assert len(task_names()) == 128
    for task in task_names():
        info = web.reset_task(task, seed=1)
        seen = web.observe()
        assert info.name == task
        assert info.goal
        assert seen.screenshot.shape == (210, 160, 3)
        assert seen.screenshot.std() > 1, f"{task} is blank"
        assert not web.ended
        assert not web.success()
        for e in seen.elements:
            left, top, right, bottom = e.box
            assert 0 <= left < right <= 1, task
            assert 0 <= top < bottom <= 1, task


@pytest.mark.parametrize("task", ["click-dialog", "choose-date", "click-shape", "click-menu"])
def test_same_seed_same_pixels_whatever_came_before(web, task):
    screens = []
    for before in ("click-dialog-2", "choose-date-easy"):
        web.reset_task(before, seed=5)
        web.act(a.Click(point=(0.5, 0.5)))
        web.reset_task(task, seed=7)
        screens.append(web.observe())
    assert np.array_equal(screens[0].screenshot, screens[1].screenshot)
    assert screens[0].elements == screens[1].elements
    web.reset_task(task, seed=8)
    assert not np.array_equal(web.observe().screenshot, screens[0].screenshot)


def test_the_same_pixels_in_another_process(web):
    code = (
        "import hashlib\nfrom homeostat.envs.miniwob import MiniWobEnv\nenv = MiniWobEnv()\n"
        "env.reset_task('click-button', seed=3)\n"
        "print(hashlib.sha256(env.observe().screenshot.tobytes()).hexdigest())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    web.reset_task("click-button", seed=3)
    assert done.stdout.strip() == hashlib.sha256(web.observe().screenshot.tobytes()).hexdigest()


@pytest.mark.parametrize("screen", [(160, 210), (144, 256), (320, 420), (375, 667)])
def test_a_page_is_fitted_into_any_screen_and_points_come_back(screen):
    fit = Fit((160, 210), screen)
    assert fit.scale == pytest.approx(min(screen[0] / 160, screen[1] / 210))
    for place in ((0.0, 0.0), (159.5, 209.5), (80.25, 3.75)):
        assert fit.to_page(fit.to_screen(place)) == pytest.approx(place)
    image = np.zeros((round(210 * fit.scale), round(160 * fit.scale), 3), np.uint8)
    placed = fit.place(image)
    assert placed.shape == (screen[1], screen[0], 3)
    assert (placed[:, :, 0] == 0).sum() == image.shape[0] * image.shape[1]
    if screen == (144, 256):
        with pytest.raises(ActionError, match="beside the page"):
            fit.to_page((0.5, 0.9))


@pytest.mark.parametrize("size", [(144, 256), (320, 420)])
def test_a_click_lands_where_it_is_seen_at_any_size(chromium, size):
    env = MiniWobEnv("click-test", size=size)
    try:
        pixel = 1.5 / 160
        for seed in range(3):
            env.reset_task(seed=seed)
            assert env.observe().screenshot.shape == (size[1], size[0], 3)
            left, top, right, bottom = named(env, "Click Me!").box
            for x, y in (((left + right) / 2, bottom + pixel), (right + pixel, (top + bottom) / 2)):
                if x < 1:
                    env.act(a.Click(point=(x, y)))
                    assert not env.ended
            env.act(a.Click(point=(right - 2 * pixel, (top + bottom) / 2)))
            assert env.success()
    finally:
        env.close()


def test_the_screen_shows_the_elements_where_they_are_said_to_be(web):
    web.reset_task("click-color", seed=0)
    seen = web.observe()
    boxes = [e for e in seen.elements if e.role == "shape"]
    assert len(boxes) == 4
    for e in boxes:
        x, y = centre(e)
        shown = seen.screenshot[int(y * 210), int(x * 160)]
        assert "rgb({}, {}, {})".format(*shown) == e.text


def test_a_wrong_click_ends_the_episode_and_the_last_screen_stays(web):
    web.reset_task("click-test-2", seed=0)
    before = web.observe().screenshot
    _, reward, terminated, truncated, info = web.step(a.Click(point=centre(named(web, "TWO"))))
    assert (reward, terminated, truncated) == (0.0, True, False)
    assert "error" not in info
    assert web.reward == -1
    assert web.ended.startswith("the page ended the episode with reward -1")
    assert np.array_equal(web.observe().screenshot, before)
    with pytest.raises(ActionError, match="after the end"):
        web.act(a.Click(point=(0.5, 0.5)))
    assert web.reward == -1  # a click on the cover begins nothing


def test_the_right_click_earns_the_whole_reward_however_late(web):
    web.reset_task("click-test-2", seed=0)
    web.act(a.Wait(seconds=0.2))
    assert web.page.browser.run("return core.EPISODE_MAX_TIME") > 10**9
    _, reward, terminated, _, _ = web.step(a.Click(point=centre(named(web, "ONE"))))
    assert (reward, terminated, web.reward) == (1.0, True, 1.0)


def test_answer_and_terminate_end_an_episode_without_success(web):
    for action in (a.Answer(text="42"), a.Terminate(status="success"), a.Terminate(status="failure")):
        web.reset_task("click-test", seed=0)
        web.act(action)
        assert web.ended.startswith("the agent")
        assert not web.success()


@pytest.mark.parametrize(
    ("action", "says"),
    [
        (a.Open(app="notes"), "no app 'notes'"),
        (a.SystemButton(button="Back"), "no button 'Back'"),
        (a.SystemButton(button="Home"), "no button 'Home'"),
        (a.Type(text="hello"), "no element has the focus"),
    ],
)
def test_what_a_page_can_not_do_is_refused_and_changes_nothing(web, action, says):
    web.reset_task("enter-text", seed=0)
    before = web.observe()
    with pytest.raises(ActionError, match=says):
        web.act(action)
    assert web.observe() is before
    assert web.steps == 0


def test_text_goes_into_the_focused_field_and_odd_keys_are_refused(web):
    web.reset_task("enter-text", seed=0)
    web.act(a.Click(point=centre(field(web))))
    web.act(a.Type(text='aB 9!é"'))
    assert field(web).text == 'aB 9!é"'
    with pytest.raises(ActionError, match="no key writes"):
        web.act(a.Type(text="x\ue007"))
    web.act(a.SystemButton(button="Enter"))
    assert field(web).text == 'aB 9!é"'


def test_a_press_is_held_and_a_swipe_drags(web):
    web.reset_task("drag-box", seed=0)
    web.page.browser.run(
        "window.seen = []; for (let t of ['mousedown', 'mouseup']) document.addEventListener(t, "
        "e => window.seen.push([t, e.clientX, e.clientY, performance.now()]), true);"
    )
    web.act(a.LongPress(point=(0.9, 0.5), seconds=0.4))
    (down, x, y, begun), (up, _, _, ended) = web.page.browser.run("return window.seen")
    assert (down, up, x, y) == ("mousedown", "mouseup", 144, 105)
    assert ended - begun >= 400
    before = named(web, "s").box
    start, shift = centre(named(web, "s")), 20 / 160
    web.act(a.Swipe(point=start, to=(start[0] + shift, start[1])))
    assert named(web, "s").box[0] == pytest.approx(before[0] + shift, abs=1.5 / 160)


def test_an_episode_resumes_in_another_browser(web):
    web.reset_task("enter-text", seed=4)
    web.act(a.Click(point=centre(field(web))))
    web.act(a.Type(text="half"))
    saved = json.loads(json.dumps(web.snapshot()))
    other = MiniWobEnv()
    try:
        other.restore(saved)
        assert np.array_equal(other.observe().screenshot, web.observe().screenshot)
        assert other.info == web.info
        assert other.snapshot() == saved
    finally:
        other.close()
