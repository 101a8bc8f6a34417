"""The browser behind the pages: leaves no process, comes back after it died, has no network; bad settings."""

import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import psutil
import pytest

from homeostat.envs.miniwob import MiniWobEnv, task_names
from homeostat.errors import ConfigError, EnvError, UnknownName


def gone(processes):
    _, alive = psutil.wait_procs(processes, timeout=20)
    return not [p for p in alive if p.status() != psutil.STATUS_ZOMBIE]


def test_no_process_is_left_after_close_and_a_later_reset_starts_anew(chromium):
    env = MiniWobEnv()
    env.reset_task(seed=0)
    driver = psutil.Process(env.page.browser.process)
    family = [driver, *driver.children(recursive=True)]
    assert len(family) > 2
    env.close()
    env.close()
    assert gone(family)
    env.reset_task(seed=0)
    assert env.observe().elements
    env.close()


def test_no_process_is_left_after_an_exception(chromium):
    code = (
        "import psutil\nfrom homeostat.envs.miniwob import MiniWobEnv\nenv = MiniWobEnv()\nenv.reset_task(seed=0)\n"
        "print(*[p.pid for p in psutil.Process().children(recursive=True)], flush=True)\nraise RuntimeError('oh')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "RuntimeError: oh" in done.stderr
    pids = [int(pid) for pid in done.stdout.split()]
    assert len(pids) > 2
    assert gone([psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)])


def test_a_browser_that_dies_is_told_and_started_anew(chromium):
    env = MiniWobEnv()
    try:
        env.reset_task(seed=0)
        for process in psutil.Process(env.page.browser.process).children(recursive=True):
            process.kill()
        with pytest.raises(EnvError, match="the browser failed"):
            env.observe()
        env.reset_task(seed=0)
        assert env.observe().elements
    finally:
        env.close()


def test_pages_have_no_network(web):
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)

        def log_message(self, *args):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        web.reset_task("click-test", seed=0)
        for host in ("127.0.0.1", "localhost"):
            url = f"http://{host}:{server.server_address[1]}/"
            script = "return fetch(arguments[0], {mode: 'no-cors'}).then(() => 'reached', () => 'refused');"
            assert web.page.browser.run(script, url) == "refused"
        server.shutdown()
    assert not asked


def test_bad_settings_name_the_value_and_the_fix(chromium, monkeypatch, tmp_path):
    with pytest.raises(UnknownName, match=r"task 'click-tset'; did you mean 'click-test'"):
        MiniWobEnv("click-tset")
    with pytest.raises(ConfigError, match=r"size \(1, 1\)"):
        MiniWobEnv(size=(1, 1))
    with pytest.raises(UnknownName, match="mode 'dev'"):
        MiniWobEnv(mode="dev")
    with pytest.raises(ConfigError, match="max_steps 0"):
        MiniWobEnv(max_steps=0)
    with pytest.raises(EnvError, match="reset the environment first"):
        MiniWobEnv().observe()
    monkeypatch.setenv("MINIWOB_CHROME_BINARY", str(tmp_path / "none"))
    with pytest.raises(ConfigError, match=r"MINIWOB_CHROME_BINARY '.*none' is no program"):
        MiniWobEnv()
    monkeypatch.delenv("MINIWOB_CHROME_BINARY")
    monkeypatch.delenv("MINIWOB_CHROMEDRIVER", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="apt install chromium chromium-driver"):
        MiniWobEnv()


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "miniwob", None)
    task_names.cache_clear()
    with pytest.raises(ConfigError, match=r"pip install 'homeostat\[miniwob\]'"):
        task_names()
