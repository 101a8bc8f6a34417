"""The published files, from a copy of the user: HOMEOSTAT_PUBLIC_DATA, or ../shared/data beside the checkout."""

import json
import os
from collections import Counter
from pathlib import Path

import pytest

from homeostat.alignment.conflicts.public import draw_cases, load_public
from homeostat.alignment.diagnosis.conversations import read_conversations

DATA = Path(os.environ.get("HOMEOSTAT_PUBLIC_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data")
IHEVAL, GUARDRAILS = DATA / "iheval" / "benchmark", DATA / "realguardrails" / "evals"
TAU = DATA / "tau-bench" / "gpt-4o-airline.json"


def needs(path):
    return pytest.mark.skipif(not path.exists(), reason=f"no {path.name} in HOMEOSTAT_PUBLIC_DATA")


@pytest.fixture(scope="module")
def iheval():
    return load_public("iheval", IHEVAL)


@needs(IHEVAL)
def test_ihevals_tree_loads_whole(iheval):
    cases, left_out = iheval
    rows = sum(len(json.loads(f.read_text(encoding="utf-8"))) for f in IHEVAL.rglob("input_data.json"))
    assert (len(cases), left_out) == (rows, 0)
    assert len({case.id for case in cases}) == rows
    settings = {(case.kind, case.setting) for case in cases}
    kinds = {path.parent.name for path in IHEVAL.glob("*/*/conflict")}
    assert settings == {(kind, setting) for kind in kinds for setting in ("conflict", "aligned", "reference")}
    for case in cases:
        present = {part.label for message in case.prompt.messages for part in message.parts}
        assert {*case.higher, *case.lower} <= present
        assert case.reference == ("system" not in case.higher)


@needs(IHEVAL)
def test_ihevals_own_answers_get_full_marks():
    """What a row calls its answer is the reference of the metric, so it must score 1."""
    asked = Counter()
    for file in sorted(IHEVAL.rglob("input_data.json")):
        rows = json.loads(file.read_text(encoding="utf-8"))[2:40]
        cases = load_public("iheval", file)[0][2:40]
        for row, case in zip(rows, cases, strict=True):
            answer = row["answer"]
            if isinstance(answer, dict) and "access_code" in answer:
                answer = "Access Granted" if answer["label"] else "No."
            elif isinstance(answer, dict):
                continue
            elif case.kind == "lang-detect":
                answer = json.dumps({"language": answer if isinstance(answer, str) else answer[-1]}, ensure_ascii=False)
            assert case.judge(answer).reached == 1, case.id
            assert all(value == pytest.approx((1, 1)) for value in case.measures(answer).values()), case.id
            asked[case.kind] += 1
    assert len(asked) == 6


@needs(IHEVAL)
def test_a_sample_of_iheval_has_every_kind_and_setting(iheval):
    drawn = Counter((case.kind, case.setting) for case in draw_cases(iheval[0], 48))
    assert len(drawn) == 24
    assert set(drawn.values()) == {2}


@needs(GUARDRAILS)
@pytest.mark.parametrize(
    ("name", "folder", "counts"),
    [
        ("s-ifeval", "ifeval", {"rule following": 541}),
        ("tensortrust", "tensortrust", {"extraction": 570, "hijacking": 776, "helpful": 1060}),
        ("realguardrails", "realguardrails", {"handwritten": 239, "distractors": 504}),
    ],
)
def test_realguardrails_files_load_whole(name, folder, counts):
    cases, left_out = load_public(name, GUARDRAILS / folder / "inputs")
    assert (Counter(case.kind for case in cases), left_out) == (counts, 0)
    assert len({case.id for case in cases}) == len(cases)
    for case in cases:
        spoken = {part.label for message in case.prompt.messages for part in message.parts if part.text.strip()}
        assert {*case.higher, *case.lower} <= spoken


@needs(TAU)
def test_tau_benchs_runs_load_whole():
    runs = read_conversations(TAU)
    published = json.loads(TAU.read_text(encoding="utf-8"))
    assert len(runs) == len(published) == 200
    turns = [list(run.turns()) for run in runs]
    assert [len(t) for t in turns] == [sum(m["role"] == "assistant" for m in run["traj"]) for run in published]
    assert all(turn.answer for run in turns for turn in run)
    assert sum(run.reward for run in runs) == sum(run["reward"] for run in published)
