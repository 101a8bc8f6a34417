"""What the kill matrix runs and kills: episodes on the simulator, episodes through adb, and commands.

Each kind of run has ``begin(folder, seed)``, ``resume(folder, seed)`` and ``facts(folder)``, which tells how it ended.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

from homeostat.agent import Agent, read_trace
from homeostat.controllers import Ask, Decompose, Proceed
from homeostat.envs.phone import PhoneEnv
from homeostat.errors import HomeostatError


class Unsure:
    """Asks the user once, at the second step's first attempt."""

    name, sensors = "unsure", frozenset[str]()

    def decide(self, readings: Any, context: Any) -> Any:
        asked = any(r.kind == "ask" for r in context.decisions)
        return Ask(question="Shall I go on?", cause="test") if context.step >= 1 and not asked else Proceed()


def log(handset: Any, name: str, file: Path) -> None:
    """Makes the handset note every input that it gets, but the home button of a reset."""
    done = getattr(handset, name)

    def noted(*given: Any) -> Any:
        if given != ("Home",):
            with file.open("a") as out:
                out.write(f"{name} {given}\n")
        return done(*given)

    setattr(handset, name, noted)


def digest(env: PhoneEnv) -> str:
    """A hash of everything that the phone's database holds."""
    return hashlib.sha256("\n".join(env.device.db.iterdump()).encode()).hexdigest()[:12]


def forked(work: Callable[[], None]) -> int:
    """Runs something in a child process; its number."""
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        work()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def facts_of(folder: Path) -> dict[str, Any]:
    """What a run's folder says of its end."""
    try:
        trace = read_trace(folder)
        acts = [(a.action.model_dump_json() if a.action else "", a.outcome) for a in trace.acts]
        if trace.partial or trace.finish is None:
            return {"torn": f"partial {trace.partial}, finish {trace.finish}"}
        return {"ended": trace.finish.ended, "success": trace.finish.success, "acts": acts}
    except HomeostatError as error:
        return {"torn": str(error)}


class Episodes:
    """Runs with nano on the simulator: the phone is restored from the run's folder."""

    def __init__(self, model: Any, planner: Any, question: bool) -> None:
        self.question = question
        controllers = [Decompose(), Unsure()] if question else []
        self.agent = Agent(model, controllers=controllers, planner=planner if question else None)
        self.task = "joined_plain" if question else "notes_add"

    def begin(self, folder: Path, seed: int) -> None:
        env = PhoneEnv(split="test")
        task = env.reset_task(random_task(self.task, seed), seed=seed)
        self.end(self.agent.start(task, env, seed=seed, run_folder=folder / "run").result, folder, env)

    def resume(self, folder: Path, seed: int) -> None:
        env, answer = PhoneEnv(split="test"), "yes" if self.question else None
        if not (folder / "run" / "checkpoint.sqlite").exists() or not stored(folder / "run"):
            shutil.rmtree(folder / "run", ignore_errors=True)
            self.begin(folder, seed)
            return
        self.end(self.agent.resume(folder / "run", env, answer=answer).result, folder, env)

    def end(self, episode: Any, folder: Path, env: PhoneEnv) -> None:
        if episode.ended == "asked":
            env, fresh = PhoneEnv(split="test"), self.agent
            episode = fresh.resume(folder / "run", env, answer="yes").result
        if env.instance is not None:
            (folder / "state").write_text(digest(env))

    def facts(self, folder: Path) -> dict[str, Any]:
        state = folder / "state"
        return facts_of(folder / "run") | {"state": state.read_text() if state.exists() else ""}


def random_task(kind: str, seed: int) -> str:
    return ("notes_add", "settings_turn_on", "clock_timer", "notes_delete")[seed % 4] if kind == "notes_add" else kind


def stored(folder: Path) -> bool:
    """Whether the folder holds a checkpoint: a run that was killed before its first one is simply started again."""
    from homeostat.agent.loop.episode import stored_run

    try:
        stored_run(folder)
    except HomeostatError:
        return False
    return True


class Devices:
    """Runs with nano through adb on a phone behind the daemon, which lives in a process of its own."""

    def __init__(self, model: Any, settle: float) -> None:
        self.agent, self.settle = Agent(model), settle

    def device(self, folder: Path, seed: int) -> int:
        """Starts the device; its process. It logs every input command and, at the end, the phone's state."""
        from homeostat.envs.adb import PhoneDaemon

        def serve() -> None:
            env = PhoneEnv(split="test", adverts=0)
            task = env.reset_task("notes_add", seed=seed)
            with PhoneDaemon(env, scale=1) as daemon:
                for name in ("tap", "swipe", "type", "press"):
                    log(daemon.handset, name, folder / "commands")
                (folder / "goal").write_text(task.goal)
                (folder / "address.part").write_text(daemon.address)
                os.replace(folder / "address.part", folder / "address")
                while not (folder / "stop").exists():
                    time.sleep(0.02)
                with daemon.lock:
                    (folder / "state").write_text(digest(env))

        child = forked(serve)
        while not (folder / "address").exists():
            time.sleep(0.02)
        return child

    def env(self, folder: Path) -> Any:
        from homeostat.envs.android import AndroidEnv

        address = (folder / "address").read_text()
        subprocess.run(["adb", "connect", address], check=True, capture_output=True, timeout=60)
        return AndroidEnv(address, goal=(folder / "goal").read_text(), settle=self.settle)

    def begin(self, folder: Path, seed: int) -> None:
        env = self.env(folder)
        task = env.reset_task(seed=seed).model_copy(update={"max_steps": 14})
        self.agent.start(task, env, seed=seed, run_folder=folder / "run").result  # noqa: B018

    def resume(self, folder: Path, seed: int) -> None:
        if not (folder / "run" / "checkpoint.sqlite").exists() or not stored(folder / "run"):
            shutil.rmtree(folder / "run", ignore_errors=True)
            self.begin(folder, seed)
            return

        def ask(question: str) -> str:
            """A user who looks at the device: did it get one command more than the run's log has outcomes?"""
            with (folder / "asked").open("a") as file:
                file.write(question + "\n")
            intents = [json.loads(line) for line in (folder / "run" / "intents.jsonl").read_text().splitlines()]
            done = len({i["step"] for i in intents if i["outcome"] == "done" and i["action"]["kind"] in INPUTS})
            commands = folder / "commands"
            got = len(commands.read_text().splitlines()) if commands.exists() else 0
            return "yes" if got > done else "no"

        self.agent.resume(folder / "run", self.env(folder), on_ask=ask).result  # noqa: B018

    def facts(self, folder: Path) -> dict[str, Any]:
        commands, asked = folder / "commands", folder / "asked"
        return facts_of(folder / "run") | {
            "state": (folder / "state").read_text(),
            "commands": commands.read_text().splitlines() if commands.exists() else [],
            "asked": len(asked.read_text().splitlines()) if asked.exists() else 0,
        }


INPUTS = ("click", "long_press", "swipe", "type", "system_button")


class Commands:
    """A command of the command line that is simply run again."""

    def __init__(self, command: list[str], result: Callable[[Path], Any]) -> None:
        self.command, self.result = command, result

    def begin(self, folder: Path, seed: int) -> None:
        words = [word.replace("FOLDER", str(folder)).replace("SEED", str(seed)) for word in self.command]
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        os.execv(sys.executable, [sys.executable, "-c", "from homeostat.cli.root import main; main()", *words])

    resume = begin

    def facts(self, folder: Path) -> dict[str, Any]:
        try:
            return {"result": self.result(folder)}
        except (OSError, ValueError, KeyError) as error:
            return {"lost": repr(error)[:200]}


def result_of_eval(folder: Path) -> Any:
    data = json.loads((folder / "r.json").read_text())
    lines = [json.loads(line) for line in (folder / "r.jsonl").read_text().splitlines()[1:]]
    return data["success"], sorted((r["index"], r["success"], r["steps"]) for r in lines)


def result_of_align(folder: Path) -> Any:
    import safetensors.numpy

    weights = safetensors.numpy.load_file(folder / "run" / "adapter" / "adapter_model.safetensors")
    return {name: round(float(abs(value).sum()), 5) for name, value in weights.items()}


def pairs_in(folder: Path) -> Path:
    """A few preference pairs, written to a file."""
    from homeostat.alignment.conflicts.core import pairs_of
    from homeostat.alignment.conflicts.phone import phone_twins
    from homeostat.alignment.preference.pairs import write_pairs
    from homeostat.nano.style import STYLE

    write_pairs(pairs_of(islice(phone_twins(STYLE, "train", 3), 24)), folder / "pairs")
    return folder / "pairs"
