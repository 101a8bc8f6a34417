"""Kills runs, evaluations and trainings at random moments, and checks that nothing is lost and nothing is done twice.

    OMP_NUM_THREADS=1 python benchmarks/kill_matrix.py --json kill_matrix.json

Rows of the matrix, each with homeostat/nano in float32, seeded:

- ``phone``: a task of the phone simulator, which can be put back;
- ``question``: a joined task with a plan and a question to the user that waits inside it;
- ``android-0``, ``android-20``, ``android-200``: ``AndroidEnv`` with the stock adb server against the phone's adb
  daemon, which cannot be put back, with so many milliseconds of settling after an action;
- ``eval``: ``homeostat eval`` with the oracle and a journal;
- ``align``: ``homeostat align`` on a few pairs.

An unbroken run comes first. Each other one gets SIGKILL at a moment drawn from the unbroken run's duration (some of
them a second time while they are resumed), and is then resumed to its end. Runs are forked from one process that has
loaded the model, so that a kill costs little; the device of an Android row is a process of its own that survives the
kills. Where a resumed run asks whether an action was carried out, the answer comes from the device's own log of
commands.

JSON: ``kills`` (SIGKILLs that hit a living process), ``lost`` (runs that could not be resumed to an end), ``doubled``
(actions that the device got twice: its log of commands is longer than the unbroken run's), ``torn`` (unreadable
traces or results), ``unequal`` (ends that differ from the unbroken run's: ending, success, actions, final state of
the device), ``asked`` (how often the user was asked), ``rows`` the same by row.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from homeostat.agent import Agent, TransformersModel, read_trace
from homeostat.controllers import Ask, Decompose, Proceed
from homeostat.envs.phone import PhoneEnv
from homeostat.errors import HomeostatError

SHARES = {
    "phone": 0.2,
    "question": 0.15,
    "android-0": 0.14,
    "android-20": 0.14,
    "android-200": 0.14,
    "eval": 0.17,
    "align": 0.06,
}


@dataclass
class Row:
    """The counts of one row."""

    kills: int = 0
    runs: int = 0
    lost: int = 0
    doubled: int = 0
    torn: int = 0
    unequal: int = 0
    asked: int = 0
    faults: list[str] = field(default_factory=list)

    def judge(self, what: str, found: dict[str, Any], whole: dict[str, Any]) -> None:
        """Counts how a run's end differs from the unbroken run's."""
        self.runs += 1
        self.asked += int(found.get("asked", 0))
        if found.get("lost"):
            self.lost += 1
            self.faults.append(f"{what}: lost: {found['lost']}")
            return
        if found.get("torn"):
            self.torn += 1
            self.faults.append(f"{what}: torn: {found['torn']}")
            return
        if len(found.get("commands", ())) > len(whole.get("commands", ())):
            self.doubled += 1
            self.faults.append(f"{what}: commands {found['commands']} against {whole['commands']}")
        differs = [
            name for name in ("ended", "success", "acts", "state", "result") if found.get(name) != whole.get(name)
        ]
        if differs:
            self.unequal += 1
            self.faults.append(
                f"{what}: " + "; ".join(f"{n} {found.get(n)} against {whole.get(n)}" for n in differs)[:600]
            )


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


def killed_after(child: int, seconds: float) -> bool:
    """Kills the child after some seconds; False where it had ended by then."""
    time.sleep(seconds)
    alive = os.waitpid(child, os.WNOHANG)[0] == 0
    if alive:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return alive


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


def run_row(name: str, what: Any, kills: int, rng: random.Random, work: Path) -> Row:
    """Kills runs of one row until so many kills have hit."""
    row, wholes = Row(), {}
    number = 0
    while row.kills < kills:
        seed = number % 4 if name != "align" else 0
        folder = work / f"{name}-{number}"
        whole = wholes.get(seed)
        folder.mkdir(parents=True)
        device = what.device(folder, seed) if isinstance(what, Devices) else None
        begun = time.monotonic()
        if whole is None:
            os.waitpid(forked(lambda f=folder, s=seed: what.begin(f, s)), 0)
            seconds = time.monotonic() - begun
        else:
            child = forked(lambda f=folder, s=seed: what.begin(f, s))
            for again in range(4):
                if again and rng.random() < 0.6:
                    break
                if not killed_after(child, rng.uniform(0, whole[1] * 1.02)):
                    break
                row.kills += 1
                child = forked(lambda f=folder, s=seed: what.resume(f, s))
            status = os.waitpid(child, 0)[1] if child_lives(child) else 0
            seconds = 0.0
        if device is not None:
            (folder / "stop").touch()
            os.waitpid(device, 0)
        found = what.facts(folder)
        if whole is None:
            wholes[seed] = (found, seconds)
            print(f"{name}, seed {seed}: unbroken {seconds:.1f} s, {found.get('ended', '')}", flush=True)
        else:
            if status and not found.get("torn"):
                found["lost"] = found.get("lost") or f"the last process ended with {status}"
            row.judge(f"{name} {number}", found, whole[0])
            if not row.faults or not row.faults[-1].startswith(f"{name} {number}:"):
                shutil.rmtree(folder, ignore_errors=True)
        number += 1
    print(f"{name}: {row.kills} kills, {len(row.faults)} faults", *row.faults[:3], sep="\n  ", flush=True)
    return row


def child_lives(child: int) -> bool:
    """Whether the child has not been waited for."""
    try:
        os.kill(child, 0)
    except ProcessLookupError:
        return False
    return True


def pairs_in(folder: Path) -> Path:
    """A few preference pairs, written to a file."""
    from homeostat.alignment.conflicts.core import pairs_of
    from homeostat.alignment.conflicts.phone import phone_twins
    from homeostat.alignment.preference.pairs import write_pairs
    from homeostat.nano.style import STYLE

    write_pairs(pairs_of(islice(phone_twins(STYLE, "train", 3), 24)), folder / "pairs")
    return folder / "pairs"


def main() -> None:
    parser = argparse.ArgumentParser(description="Kill runs at random moments and check what is left.")
    parser.add_argument("--json", type=Path, help="where the figures go")
    parser.add_argument("--kills", type=int, default=300, help="how many SIGKILLs in all")
    parser.add_argument("--rows", default=",".join(SHARES), help="which rows, with commas")
    parser.add_argument("--seed", type=int, default=0, help="the seed of the moments")
    options = parser.parse_args()
    rng, rows = random.Random(options.seed), {}
    work = Path(tempfile.mkdtemp(prefix="kill-matrix-"))
    chosen = [name for name in SHARES if name in options.rows.split(",")]
    total = sum(SHARES[name] for name in chosen)
    nano = planner = None
    if any(not name.startswith(("eval", "align")) for name in chosen):
        nano = TransformersModel.load("homeostat/nano", "cpu", "float32")
        planner = TransformersModel.load("homeostat/nano-planner", "cpu", "float32")
    if any(name.startswith("android") for name in chosen):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            os.environ["ANDROID_ADB_SERVER_PORT"] = str(probe.getsockname()[1])
        subprocess.run(["adb", "start-server"], check=True, capture_output=True, timeout=60)
    try:
        for name in chosen:
            kills = round(options.kills * SHARES[name] / total + 0.5)
            what: Any
            if name.startswith("android"):
                what = Devices(nano, int(name.split("-")[1]) / 1000)
            elif name == "eval":
                words = "eval --suite atomic --policy oracle --episodes 40 --seed SEED --json FOLDER/r.json"
                what = Commands(words.split(), result_of_eval)
            elif name == "align":
                words = (
                    f"align --layers 3,4 --weights uniform --epochs 2 --batch 4 --save-steps 2 --data {pairs_in(work)}"
                )
                what = Commands([*words.split(), "--out", "FOLDER/run", "--cache", "FOLDER/states"], result_of_align)
            else:
                what = Episodes(nano, planner, question=name == "question")
            rows[name] = run_row(name, what, kills, rng, work)
    finally:
        if any(name.startswith("android") for name in chosen):
            subprocess.run(["adb", "kill-server"], check=False, capture_output=True, timeout=60)
    keys = ("kills", "lost", "doubled", "torn", "unequal", "asked")
    figures: dict[str, Any] = {key: sum(getattr(row, key) for row in rows.values()) for key in keys}
    figures["rows"] = {name: vars(row) for name, row in rows.items()}
    print(json.dumps({key: figures[key] for key in keys}))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    if not any(row.faults for row in rows.values()):
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
