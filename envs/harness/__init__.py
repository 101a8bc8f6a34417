"""The evaluation harness: suites in YAML, runners, a journal that survives a kill, Ray workers, measures, comparisons.

It knows no model: a :class:`RunnerSpec` says how a worker builds whatever plays. Importing this package is cheap: every
name is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from homeostat.envs.harness.comparison import (
        Comparison,
        Evaluation,
        Flip,
        TemplateChange,
        compare,
        read_evaluation,
        read_results,
    )
    from homeostat.envs.harness.environments import ENVS, EnvKind, env_kind, make_env
    from homeostat.envs.harness.execution import evaluate
    from homeostat.envs.harness.export import write_json, write_parquet
    from homeostat.envs.harness.inspect_format import inspect_log, write_inspect
    from homeostat.envs.harness.journal import Journal
    from homeostat.envs.harness.measures import per_kind, per_template, summary
    from homeostat.envs.harness.page import comparison_page, write_page
    from homeostat.envs.harness.policies import POLICIES, PolicyRunner, policy_spec
    from homeostat.envs.harness.results import NEXUS_ENDINGS, Result, nexus_ending
    from homeostat.envs.harness.runner import Case, Runner, RunnerSpec
    from homeostat.envs.harness.statistics import (
        Interval,
        cluster_bootstrap,
        newcombe_paired,
        quantile,
        reversed_redundancy,
        steps_ratio,
        wilson,
    )
    from homeostat.envs.harness.suite import Limits, Suite, load_suite, random_case, suite_names

_HOMES = {
    "comparison": ("Comparison", "Evaluation", "Flip", "TemplateChange", "compare", "read_evaluation", "read_results"),
    "environments": ("ENVS", "EnvKind", "env_kind", "make_env"),
    "execution": ("evaluate",),
    "export": ("write_json", "write_parquet"),
    "inspect_format": ("inspect_log", "write_inspect"),
    "journal": ("Journal",),
    "page": ("comparison_page", "write_page"),
    "policies": ("POLICIES", "PolicyRunner", "policy_spec"),
    "results": ("NEXUS_ENDINGS", "Result", "nexus_ending"),
    "runner": ("Case", "Runner", "RunnerSpec"),
    "statistics": (
        "Interval",
        "cluster_bootstrap",
        "newcombe_paired",
        "quantile",
        "reversed_redundancy",
        "steps_ratio",
        "wilson",
    ),
    "suite": ("Limits", "Suite", "load_suite", "random_case", "suite_names"),
    "measures": ("per_kind", "per_template", "summary"),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "ENVS",
    "NEXUS_ENDINGS",
    "POLICIES",
    "Case",
    "Comparison",
    "EnvKind",
    "Evaluation",
    "Flip",
    "Interval",
    "Journal",
    "Limits",
    "PolicyRunner",
    "Result",
    "Runner",
    "RunnerSpec",
    "Suite",
    "TemplateChange",
    "cluster_bootstrap",
    "compare",
    "comparison_page",
    "env_kind",
    "evaluate",
    "inspect_log",
    "load_suite",
    "make_env",
    "newcombe_paired",
    "nexus_ending",
    "per_kind",
    "per_template",
    "policy_spec",
    "quantile",
    "random_case",
    "read_evaluation",
    "read_results",
    "reversed_redundancy",
    "steps_ratio",
    "suite_names",
    "summary",
    "wilson",
    "write_inspect",
    "write_json",
    "write_page",
    "write_parquet",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
