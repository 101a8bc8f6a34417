"""The public names, each of which loads."""

from __future__ import annotations

from homeostat.envs import harness

NAMES = """
NEXUS_ENDINGS POLICIES Case Comparison EnvKind Evaluation Fixation Flip Interval Journal Limits PolicyRunner
Result Runner RunnerSpec Suite TemplateChange cluster_bootstrap compare env_kind env_names evaluate
inspect_log load_suite make_env newcombe_paired nexus_ending per_kind per_template policy_spec quantile
random_case read_evaluation read_results reversed_redundancy steps_ratio suite_names summary wilson
write_inspect write_json write_parquet
"""


def test_the_public_names_are_these() -> None:
    assert sorted(harness.__all__) == sorted(NAMES.split())
    for _ in range(2):  # the second time every module is loaded: none may hide a name
        for name in harness.__all__:
            found = getattr(harness, name)
            assert type(found).__name__ != "module", name
