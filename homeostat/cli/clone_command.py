"""``homeostat clone``: an adapter for any model, or the embedded models' own training.

With ``--model`` (or ``--config``) the flags are the fields of
:class:`~homeostat.alignment.cloning.settings.CloneSettings`; without them, the options of :mod:`homeostat.cli.clone`.
An option that does not belong to the chosen training is refused, not ignored.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any, get_args

import typer

from homeostat.alignment.cloning.settings import CloneSettings
from homeostat.cli.clone import clone
from homeostat.cli.loading import say_loading
from homeostat.cli.settings import command_of
from homeostat.errors import ConfigError

__all__ = ["command"]


def _run(settings: CloneSettings, dry_run: bool) -> None:
    say_loading(settings.model)
    from homeostat.alignment.cloning.preparation import prepare_clone
    from homeostat.alignment.cloning.run import clone as clone_model

    if dry_run:
        data = prepare_clone(settings)
        try:
            for source in data.lessons.sources:
                left = f"; {len(source.left_out)} are held out" if source.left_out else ""
                typer.echo(f"{source.suite.name}: {len(source.suite.tasks)} training tasks{left}")
            lengths = sorted(len(row.ids) for row in data.first)
            shared = "share sequences" if data.packed else "run in padded batches"
            typer.echo(
                f"first episode: {len(lengths)} prompts of {lengths[0]} to {lengths[-1]} tokens, which {shared}; "
                f"layers {', '.join(map(str, data.layers))}"
            )
        finally:
            data.lessons.close()
        return
    result = clone_model(settings)
    typer.echo(
        f"{result.folder / 'adapter'}: {result.parameters:,} parameters, {result.steps} steps, loss {result.loss:.4f}, "
        f"{result.seconds:.0f} s"
    )
    if result.before is not None and result.after is not None:
        typer.echo(
            f"held-out training episodes, {result.after.answers} answers: right {result.before.right:.1%} before, "
            f"{result.after.right:.1%} after; loss {result.before.loss:.4f} before, {result.after.loss:.4f} after"
        )


_adapter = command_of(CloneSettings, _run, "", needs=("peft", "accelerate"), resumes=True)
_adapter_options = inspect.signature(_adapter).parameters
_own_options = inspect.signature(clone, eval_str=True).parameters


def _merged() -> Callable[..., None]:
    def merged(ctx: typer.Context, **flags: Any) -> None:
        given = [name for name in flags if _is_given(ctx, name)]
        any_model = "model" in given or "config" in given
        belong = _adapter_options if any_model else _own_options
        for name in given:
            if name not in belong:
                fix = "leave it out with --model" if any_model else "name the model with --model"
                raise ConfigError(f"{_flag(name)} {flags[name]!r} belongs to another training; {fix}")
        if any_model:
            _adapter(ctx, **{name: flags[name] for name in _adapter_options if name != "ctx"})
            return
        clone(**{name: _converted(name, flags[name]) for name in given})

    parameters = list(_parameters())
    merged.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    merged.__annotations__ = {p.name: p.annotation for p in parameters}
    merged.__doc__ = _DOC
    return merged


def _parameters() -> Iterator[inspect.Parameter]:
    """The options of both trainings, those of the same name once."""
    for name, one in _adapter_options.items():
        if name in _own_options:
            other = _own_options[name]
            told = f"Without --model: {_option(other).help}"
            _option(one).help += f" {told}" if other.default == "" else f" {told} Default there: {other.default}."
        yield one
    for name, one in _own_options.items():
        if name not in _adapter_options:
            _option(one).help = f"Without --model: {_option(one).help}"
            yield one.replace(kind=inspect.Parameter.KEYWORD_ONLY)


def _option(parameter: inspect.Parameter) -> Any:
    """The description of an option, with its help text."""
    return get_args(parameter.annotation)[1]


def _flag(name: str) -> str:
    return "--from" if name == "start" else f"--{name.replace('_', '-')}"


def _is_given(ctx: typer.Context, name: str) -> bool:
    source = ctx.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _converted(name: str, value: Any) -> Any:
    """The value of an option of the embedded models' training, which a shared flag gives as text."""
    kind = get_args(_own_options[name].annotation)[0]
    if not isinstance(value, str) or not isinstance(kind, type) or kind is str:
        return value
    try:
        return kind(value)
    except ValueError:
        raise ConfigError(f"{_flag(name)} {value!r} is no {kind.__name__}; give a number") from None


_DOC = """Train a model by behaviour cloning on an environment's built-in solution.

With --model: a LoRA adapter for any text or vision-language model, in the prompts that the agent builds at run time, on
training tasks and words only. The adapter's folder can stand wherever a model is named. An interrupted run is resumed
by the same command.

Without --model: the embedded models. Without --from and --env, the executor is trained from scratch; otherwise a
trained model is fine-tuned. A layer whose attention is about to collapse is named in one line.

\b
Examples:
  homeostat clone --model Qwen/Qwen2.5-0.5B-Instruct --suite atomic
  homeostat run --task random --model runs/clone/adapter
  homeostat clone --out checkpoints/nano --minutes 140
"""

command = _merged()
"""Train a model by behaviour cloning on an environment's built-in solution."""
