"""The package ``agentdojo``: its suites and attacks, also where the clients of model vendors are not installed.

``agentdojo`` requires the clients of four vendors, which its package ``agent_pipeline`` imports. The suites, checks and
attacks use none of them. Where one is missing, this module stands in for the two modules that import clients, while the
suites are imported, and removes them again afterwards.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from homeostat.errors import ConfigError, UnknownName

__all__ = [
    "VERSION",
    "attack_class",
    "attack_names",
    "function_call",
    "functions_runtime",
    "ground_truth_pipeline",
    "suites",
    "system_message",
    "to_text",
]

VERSION = "v1.2.2"
"""The version of the benchmark (tasks and data), of those that ``agentdojo`` 0.1.35 holds."""

_VERSIONS = ("v1", "v1.1", "v1.1.1", "v1.1.2", "v1.2", "v1.2.1", "v1.2.2")
_CLIENTS = ("anthropic", "cohere", "google.genai")
_PIPELINE = "agentdojo.agent_pipeline"
_GOOGLE = f"{_PIPELINE}.llms.google_llm"
_LOCK = threading.Lock()


@cache
def suites(version: str = VERSION) -> Mapping[str, Any]:
    """Returns AgentDojo's suites.

    Args:
        version: The version of the benchmark.

    Returns:
        The ``TaskSuite`` objects by name.

    Raises:
        ConfigError: ``agentdojo`` is not installed.
        UnknownName: There is no such version.
    """
    known = _module("task_suite.load_suites")
    if version not in _VERSIONS:
        raise UnknownName.of("version of AgentDojo", version, _VERSIONS)
    return dict(sorted(known.get_suites(version).items()))


@cache
def attack_names() -> tuple[str, ...]:
    """Returns the names of AgentDojo's attacks, without ``manual``, which asks a person at the terminal.

    Raises:
        ConfigError: ``agentdojo`` is not installed.
    """
    return tuple(sorted(set(_module("attacks.attack_registry").ATTACKS) - {"manual"}))


def attack_class(name: str) -> Any:
    """Returns the class of an attack.

    Args:
        name: One of :func:`attack_names`.

    Returns:
        The class, to be called with a suite and a pipeline that has a name.

    Raises:
        UnknownName: There is no such attack.
    """
    if name not in attack_names():
        raise UnknownName.of("attack", name, attack_names())
    return _module("attacks.attack_registry").ATTACKS[name]


def functions_runtime(functions: Sequence[Any]) -> Any:
    """Returns AgentDojo's runtime, which validates arguments and calls functions.

    Args:
        functions: AgentDojo's functions.

    Returns:
        The ``FunctionsRuntime``.
    """
    return _module("functions_runtime").FunctionsRuntime(functions)


def function_call(name: str, arguments: Mapping[str, Any]) -> Any:
    """Returns a call as AgentDojo's checks read it.

    Args:
        name: The function's name.
        arguments: The arguments.

    Returns:
        The ``FunctionCall``.
    """
    return _module("functions_runtime").FunctionCall(function=name, args=dict(arguments))


def ground_truth_pipeline(task: Any) -> Any:
    """Returns AgentDojo's own pipeline that plays a task's ground truth.

    Args:
        task: A user task or an injection task; None for a pipeline that only has a name.

    Returns:
        The ``GroundTruthPipeline``.
    """
    return _module("agent_pipeline.ground_truth_pipeline").GroundTruthPipeline(task)


def to_text(result: Any) -> str:
    """Writes a tool's result as AgentDojo shows it to a model, in YAML.

    Args:
        result: What the tool returned.

    Returns:
        The text.
    """
    return str(_module("agent_pipeline.tool_execution").tool_result_to_str(result))


@cache
def system_message() -> str:
    """Returns the system message that AgentDojo uses by default."""
    import yaml

    path = Path(_root()) / "data" / "system_messages.yaml"
    return str(yaml.safe_load(path.read_text(encoding="utf-8"))["default"])


@cache
def _root() -> str:
    spec = find_spec("agentdojo")
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError(
            "AgentDojo is not installed; pip install 'homeostat[agentdojo]' && pip install --no-deps agentdojo==0.1.35"
        )
    return str(next(iter(spec.submodule_search_locations)))


@cache
def _module(name: str) -> Any:
    root = _root()
    with _LOCK, _clients_not_needed(root):
        try:
            import_module("agentdojo.attacks")  # registers the attacks, and imports the suites
            return import_module(f"agentdojo.{name}")
        except ImportError as error:
            raise ConfigError(
                f"AgentDojo can't be imported ({error}); pip install 'homeostat[agentdojo]' && pip install --no-deps "
                "agentdojo==0.1.35"
            ) from error


@contextmanager
def _clients_not_needed(root: str) -> Iterator[None]:
    """Lets AgentDojo's modules be imported without the vendors' clients; does nothing where all are installed."""
    if all(map(_exists, _CLIENTS)) or _PIPELINE in sys.modules:
        yield
        return
    package, google = ModuleType(_PIPELINE), ModuleType(_GOOGLE)
    package.__path__ = [str(Path(root) / "agent_pipeline")]
    package.__spec__ = ModuleSpec(_PIPELINE, None, is_package=True)
    vars(google)["EMPTY_FUNCTION_NAME"] = "<empty-function-name>"
    sys.modules |= {_PIPELINE: package, _GOOGLE: google}
    try:
        yield
    finally:
        for module in (_PIPELINE, _GOOGLE):
            sys.modules.pop(module, None)


def _exists(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # of the package that it would be in
        return False
