"""``homeostat doctor``: checks what works on this machine and says how to fix what does not."""

from __future__ import annotations

import importlib
import importlib.metadata
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import typer

__all__ = ["Finding", "doctor", "examine", "probe_error"]

_TOLERANCE = 1e-5


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes:
        name: What was checked.
        ok: Whether it works.
        found: What was found, such as a version.
        fix: How to fix it where it does not work.
        optional: Whether homeostat works without it. Such a finding does not change the exit status.
    """

    name: str
    ok: bool
    found: str
    fix: str = ""
    optional: bool = False


def doctor() -> None:
    """Check what works on this machine, and say how to fix what does not."""
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    failed = 0
    for finding in examine():
        failed += not finding.ok and not finding.optional
        mark = Text("ok     ", "green") if finding.ok else Text("missing", "yellow" if finding.optional else "bold red")
        fix = f"; fix: {finding.fix}" if finding.fix and not finding.ok else ""
        console.print(Text.assemble(mark, f"  {finding.name:<13}{finding.found}{fix}"), soft_wrap=True)
    if failed:
        raise typer.Exit(1)


def examine() -> Iterator[Finding]:
    """Runs every check, the quick ones first.

    Yields:
        One finding for each check. A check that raises an error yields a finding that names the error.
    """
    checks: tuple[tuple[str, Callable[[], Finding]], ...] = (
        ("python", _python),
        ("torch", _torch),
        ("transformers", _transformers),
        ("torchvision", _torchvision),
        ("commands", _commands),
        ("terminal", _terminal),
        ("adb", lambda: _program("adb", ("adb",), "apt install adb (needed for Android only)")),
        ("adbutils", lambda: _package("adbutils", "pip install 'homeostat[android]' (needed for Android only)")),
        ("chromium", _chromium),
        ("phone", _phone),
        ("nano", _nano),
        ("probe", _probe),
    )
    for name, check in checks:
        try:
            yield check()
        except Exception as error:
            text = str(error).strip().partition("\n")[0][:160]
            yield Finding(name, False, f"{type(error).__name__}: {text}", "reinstall homeostat and its dependencies")


def _python() -> Finding:
    version = platform.python_version()
    return Finding(
        "python", sys.version_info >= (3, 11), f"{version} on {platform.machine()}", "use Python 3.11 or newer"
    )


def _torch() -> Finding:
    import torch

    if torch.cuda.is_available():
        device = f"cuda ({torch.cuda.get_device_name()})"
        brain = torch.cuda.is_bf16_supported()
    else:
        device, brain = ("mps", True) if torch.backends.mps.is_available() else ("cpu", True)
    if brain:
        (torch.ones(2, 2, dtype=torch.bfloat16) @ torch.ones(2, 2, dtype=torch.bfloat16)).sum().item()
    half = "bfloat16 works" if brain else "no bfloat16: float16 is used"
    return Finding("torch", True, f"{torch.__version__}, {device}, {torch.get_num_threads()} threads, {half}")


def _transformers() -> Finding:
    import transformers
    from transformers import AttentionInterface

    found = transformers.__version__
    return Finding(
        "transformers",
        AttentionInterface is not None and int(found.split(".")[0]) == 5,
        found,
        "pip install 'transformers>=5.20,<6'",
    )


def _torchvision() -> Finding:
    """Looks for what the processors of Qwen-VL need. A torchvision of another build breaks text models, too."""
    from homeostat.agent.models.pictures import TORCHVISION

    try:
        version = importlib.metadata.version("torchvision")
    except importlib.metadata.PackageNotFoundError:
        found = "not installed: Qwen-VL and other models whose processor reads videos can't be loaded"
        return Finding("torchvision", False, found, TORCHVISION, optional=True)
    try:
        importlib.import_module("torchvision")
    except (ImportError, RuntimeError, OSError) as error:
        reason = str(error).strip().partition("\n")[0][:120]
        return Finding("torchvision", False, f"{version} does not fit this torch ({reason})", TORCHVISION)
    return Finding("torchvision", True, f"{version}: Qwen-VL can be loaded", optional=True)


def _commands() -> Finding:
    from homeostat.cli.root import commands, load_command
    from homeostat.errors import ConfigError

    broken = []
    for entry in commands().values():
        try:
            load_command(entry)
        except ConfigError as error:
            broken.append(str(error))
    return Finding("commands", not broken, ", ".join(broken or commands()), "reinstall or remove that package")


def _terminal() -> Finding:
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        return Finding("terminal", True, "stdout is not a terminal: plain lines are printed", optional=True)
    found = f"{console.color_system or 'no colours'}, {console.size.width}×{console.size.height}"
    fix = "set COLORTERM=truecolor if your terminal has 24-bit colours, or use --plain"
    return Finding("terminal", console.color_system == "truecolor", found, fix, optional=True)


def _program(name: str, spellings: tuple[str, ...], fix: str) -> Finding:
    path = next((p for p in map(shutil.which, spellings) if p), None)
    return Finding(name, path is not None, path or "not found", fix, optional=True)


def _package(name: str, fix: str) -> Finding:
    try:
        return Finding(name, True, importlib.metadata.version(name), optional=True)
    except importlib.metadata.PackageNotFoundError:
        return Finding(name, False, "not installed", fix, optional=True)


def _chromium() -> Finding:
    """Looks for the browser, its driver and the pages. MiniWoB++ needs all three; nothing else does."""
    from homeostat.envs.miniwob import find_binaries, task_names
    from homeostat.errors import ConfigError

    try:
        binaries, tasks = find_binaries(), len(task_names())
    except ConfigError as error:
        what, _, fix = str(error).partition("; ")
        return Finding("chromium", False, what, f"{fix} (needed for browser tasks only)", optional=True)
    found = f"{binaries.chrome} with {binaries.driver}, {tasks} MiniWoB++ tasks"
    return Finding("chromium", True, found, optional=True)


def _phone() -> Finding:
    from homeostat.envs.harness import make_env, random_case

    world, case = make_env("phone"), random_case("phone", 0)
    task = world.reset_task(case.task, seed=case.seed)
    height, width = world.observe().screenshot.shape[:2]
    return Finding(
        "phone",
        True,
        f"{width}×{height} pixels, drew {task.name} ({importlib.metadata.version('gymnasium')} gymnasium)",
    )


def _nano() -> Finding:
    from homeostat.agent import TransformersModel
    from homeostat.errors import ModelError

    try:
        model = TransformersModel.load("homeostat/nano").model
    except ModelError as error:
        return Finding("nano", False, str(error).partition(";")[0], "train it with: homeostat clone")
    millions = sum(p.numel() for p in model.parameters()) / 1e6
    return Finding("nano", True, f"loads, {millions:.1f} million parameters, {model.dtype} on {model.device}")


def _probe() -> Finding:
    """Checks the probe on the embedded model where it is installed, else on a small random one."""
    import torch

    from homeostat.errors import ModelError

    try:
        name, model, inputs, spans, length = _nano_case()
    except ModelError:
        name, model, inputs, spans, length = _random_case()
    model.eval()
    error = probe_error(model.to(torch.float32), inputs, spans, length)
    found = f"span masses on {name} differ from eager attention by {error:.1e}"
    return Finding("probe", error < _TOLERANCE, found, "install the versions of torch and transformers that are pinned")


def _nano_case() -> tuple[str, Any, dict[str, Any], Any, int]:
    from homeostat.agent import TransformersModel
    from homeostat.agent.prompts import act_prompt
    from homeostat.envs.harness import make_env

    loaded = TransformersModel.load("homeostat/nano", device="cpu", dtype="float32")
    world = make_env("phone")
    task = world.reset_task(None, seed=0)
    prompt = act_prompt(loaded.style, goal="open notes", rules=task.rules, history=(), observation=world.observe())
    rendered = loaded.renderer.render(prompt)
    return "homeostat/nano", loaded.model, dict(rendered.inputs), rendered.spans, len(rendered.ids)


def _random_case() -> tuple[str, Any, dict[str, Any], Any, int]:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
    )
    ids = torch.randint(0, 64, (1, 48))
    spans = {"goal": [(4, 12)], "screen": [(12, 40)]}
    return "a random Llama", LlamaForCausalLM(config), {"input_ids": ids}, spans, 48


def probe_error(model: Any, inputs: dict[str, Any], spans: Any, length: int) -> float:
    """Compares the probe's span masses with sums over the attention maps of eager attention.

    Args:
        model: A Transformers model.
        inputs: What its forward pass takes.
        spans: By label, the (start, stop) pairs of the spans in the prompt.
        length: The prompt's number of tokens.

    Returns:
        The largest absolute difference over the last eight rows, all layers and all heads.
    """
    import torch

    from homeostat.sensors import Spans, watch

    before = model.config._attn_implementation
    ranges = Spans(spans, length=length)
    with torch.inference_mode():
        with watch(model, rows=8, sinks=False) as probe:
            probe.start(ranges)
            model(**inputs)
            read = probe.result()
        model.set_attn_implementation("eager")
        try:
            maps = model(**inputs, output_attentions=True).attentions
        finally:
            model.set_attn_implementation(before)
    rows = torch.stack([layer[0, :, -8:] for layer in maps]).float()  # (L, H, W, K)
    worst = 0.0
    for label, pairs in ranges.ranges.items():
        exact = sum(rows[..., start:stop].sum(-1) for start, stop in pairs)
        seen = torch.from_numpy(read.prompt_mass[..., read.labels.index(label)])  # (W, L, H)
        worst = max(worst, float((exact.permute(2, 0, 1) - seen).abs().max()))  # type: ignore[union-attr]
    return worst
