"""The suite ``team``: oracle answers win, simple habits don't, and splits share nothing."""

import re
from itertools import islice

import pytest
import yaml

from homeostat.agent.prompts import VERBOSE
from homeostat.alignment.conflicts.team import TEAM_KINDS, team_scenes, team_twins, verdicts
from homeostat.alignment.diagnosis.run import diagnose, generated
from homeostat.alignment.diagnosis.summary import summarise
from homeostat.alignment.teams import Obedience
from homeostat.errors import UnknownName
from homeostat.testing import ScriptedModel

SPLITS = ("train", "dev", "test")


def spoken(case):
    return [(part.label, part.text) for message in case.prompt.messages for part in message.parts]


def model_for(cases, say):
    """A model double that gives ``say(case)`` to the prompt of each case."""
    by_prompt = {str(spoken(case)): say(case) for case in cases}

    def answer(prompt):
        return by_prompt[str([(part.label, part.text) for message in prompt.messages for part in message.parts])]

    return ScriptedModel(answer)


@pytest.mark.parametrize("split", SPLITS)
def test_the_oracle_solves_everything(split):
    cases = generated(ScriptedModel([""]), "team", split, 3, 100)
    answers, _ = diagnose(model_for(cases, lambda case: case.chosen), cases)
    found = summarise(answers, model="oracle", suite="team", split=split, seed=3)
    assert {cell.kind for cell in found.cells} == {*TEAM_KINDS, "all"}
    for cell in found.cells:
        assert cell.compliance is not None
        assert cell.aligned_success is not None
        assert (cell.compliance[0], cell.aligned_success[0], cell.truth["CRAS"]) == (1, 1, 5)
    measures = found.cells[-1].measures["conflict"]
    assert found.obedience is not None
    assert set(found.obedience.members) == {"planner", "critic", "executor"}
    assert all(scores["CRAS"] == 5 for scores in found.obedience.members.values())
    demands = sum(cell.demands for cell in found.obedience.cells if cell.authority != "may not instruct")
    assert demands == 100  # in each conflict, one demand binds or is against the role
    bound = [value for name, value in measures.items() if name.endswith(", may instruct")]
    free = [value for name, value in measures.items() if name.endswith(("may not instruct", "against the role"))]
    assert set(bound) == {1}
    assert max(free) < 0.5  # a peer's demand is followed only where it agrees with the user's


@pytest.mark.parametrize("split", SPLITS)
def test_what_the_lower_side_demands_is_judged_as_broken(split):
    for both in islice(team_twins(VERBOSE, split, 5), 60):
        conflict, aligned = both.conflict, both.aligned
        assert conflict.judge(conflict.rejected).broken, conflict.id
        judged = aligned.judge(aligned.rejected)
        assert judged.broken or judged.reached < 1, aligned.id
        assert conflict.judge("  ").broken


def test_no_answer_follows_both_demands():
    for scene, _ in islice(team_scenes("test", 1), 60):
        for answer in (scene.wanted.answer(scene.slots), scene.unwanted.answer(scene.slots)):
            assert scene.wanted.follows(answer, scene.slots) != scene.unwanted.follows(answer, scene.slots)


def test_habits_that_ignore_the_role_follow_the_hierarchy_in_half_of_the_conflicts():
    scenes = [scene for scene, _ in islice(team_scenes("train", 2, [k for k in TEAM_KINDS if k != "secret"]), 600)]

    def share(choose):
        hits = []
        for scene in scenes:
            by = choose(scene)
            demand = next(made for name, _, made, _ in scene.verdicts if name == by)
            hits.append(scene.wanted.follows(demand.answer(scene.slots), scene.slots))
        return sum(hits) / len(hits)

    assert share(lambda s: s.said[-1].by) == pytest.approx(0.5, abs=0.06)
    assert share(lambda s: s.said[0].by) == pytest.approx(0.5, abs=0.06)
    assert share(lambda s: min(one.by for one in s.said)) == pytest.approx(0.5, abs=0.06)


def test_the_roles_say_who_may_instruct_and_the_hierarchy_says_the_same():
    for scene, _ in islice(team_scenes("dev", 7, [k for k in TEAM_KINDS if TEAM_KINDS[k] == "leader/peer"]), 40):
        assert scene.spec.may_instruct(scene.higher, scene.seat)
        assert not scene.spec.may_instruct(scene.lower, scene.seat)
        assert scene.higher in scene.spec.role(scene.seat).system


def test_messages_are_spans_of_their_speakers_and_twins_differ_in_the_lower_demand_alone():
    for both in islice(team_twins(VERBOSE, "test", 4), 40):
        one, other = spoken(both.conflict), spoken(both.aligned)
        differing = [label for (label, a), (_, b) in zip(one, other, strict=True) if a != b]
        assert differing == [*both.conflict.lower], both.conflict.id
        labels = {label for label, _ in one}
        assert {*both.conflict.higher, *both.conflict.lower} <= labels
        roles = [message.role for message in both.conflict.prompt.messages]
        assert roles == ["system", "user"]


def test_splits_share_no_wording_and_no_value():
    from importlib.resources import files

    data = yaml.safe_load((files("homeostat.alignment.conflicts") / "teams.yaml").read_text())

    def lots(node):
        if isinstance(node, dict) and set(node) == set(SPLITS):
            yield {split: {str(one) for one in node[split]} for split in SPLITS}
        elif isinstance(node, dict):
            for value in node.values():
                yield from lots(value)

    found = list(lots(data))
    assert len(found) > 30
    for lot in found:
        assert all(lot.values())
        assert not lot["train"] & lot["dev"]
        assert not lot["train"] & lot["test"]
        assert not lot["dev"] & lot["test"]


def test_the_matrix_counts_what_the_verdicts_say():
    scenes = [scene for scene, _ in islice(team_scenes("dev", 1, ["format"]), 20)]
    made = [one for scene in scenes for one in verdicts(scene, scene.unwanted.answer(scene.slots))]
    matrix = Obedience.of(made)
    for cell in matrix.cells:
        assert cell.followed[0] == (cell.authority == "may not instruct")
    last_was_peer = [scene.said[-1].by == scene.lower for scene in scenes]
    assert matrix.last is not None
    assert matrix.last[0] == pytest.approx(sum(last_was_peer) / len(scenes))
    assert sum(cell.demands for cell in matrix.cells) == 2 * len(scenes)


def test_the_matrix_of_a_report_is_that_of_the_verdicts():
    cases = generated(ScriptedModel([""]), "team", "dev", 2, 60)
    answers, _ = diagnose(model_for(cases, lambda case: case.rejected), cases)
    found = summarise(answers, model="m", suite="team", split="dev", seed=2).obedience
    scenes = [scene for scene, _ in islice(team_scenes("dev", 2), 60)]
    made = [one for scene in scenes for one in verdicts(scene, scene.unwanted.answer(scene.slots))]
    expected = Obedience.of(made)
    assert found is not None
    assert found.cells == expected.cells
    assert found.last == expected.last
    header, *rows = found.rows()
    assert header[2:] == tuple(dict.fromkeys(cell.whom for cell in found.cells))
    assert sum(bool(text) for row in rows for text in row[2:]) == len(found.cells)


def test_a_twin_that_ignores_the_demand_is_not_right():
    cases = [twins.aligned for twins in islice(team_twins(VERBOSE, "dev", 1, ["stamp"]), 20)]
    for case in cases:
        key = case.chosen.split(",")[0].strip(".")
        assert case.judge(case.chosen).reached == 1
        other = f"{key}, {case.judge.keywords['scene'].slots['stamp']}" if "," not in case.chosen else f"{key}."
        assert case.judge(other).reached == 0


def test_the_same_seed_gives_the_same_cases_and_an_unknown_kind_is_refused():
    one, other = ([spoken(t.conflict) for t in islice(team_twins(VERBOSE, "dev", 9), 8)] for _ in range(2))
    assert one == other
    with pytest.raises(UnknownName, match=re.escape("unknown conflict kind 'formt'; did you mean 'format'?")):
        next(team_twins(VERBOSE, "dev", 0, ["formt"]))
