"""Training and held-out templates are disjoint, and held-out templates recombine what training shows."""

from collections import Counter

import pytest

from homeostat.envs.harness import load_suite
from homeostat.envs.phone.tasks import TEMPLATES
from homeostat.envs.phone.tasks.splits import family, goal_words, templates_of

TRAIN, DEV, TEST = (templates_of(split) for split in ("train", "dev", "test"))
HELD_OUT = DEV | TEST


def test_every_template_is_in_one_split_and_no_two_share_a_name_or_a_wording():
    assert Counter([*TRAIN, *DEV, *TEST]) == Counter(list(TEMPLATES))
    assert (len(DEV), len(TEST)) == (15, 30)
    taught = {goal for t in TRAIN.values() for goal in t.goals}
    assert not taught & {goal for t in HELD_OUT.values() for goal in t.goals}


@pytest.mark.parametrize("name", HELD_OUT)
def test_a_held_out_template_recombines_words_verbs_and_apps_of_training(name):
    template = HELD_OUT[name]
    assert goal_words(template) <= set().union(*map(goal_words, TRAIN.values()))
    elsewhere = {t.app for n, t in TRAIN.items() if family(n) == family(name) and t.app != template.app}
    assert len(elsewhere) >= 2
    kept = sum(t.app == template.app for t in TRAIN.values())
    assert kept >= 2 * sum(t.app == template.app for t in HELD_OUT.values())


@pytest.mark.parametrize(
    ("suite", "split", "words"),
    [("atomic-whole", "train", "test"), ("atomic-dev", "dev", "dev"), ("atomic-test", "test", "test")],
)
def test_the_suites_name_their_split_s_templates_on_the_whole_phone(suite, split, words):
    loaded = load_suite(suite)
    assert loaded.tasks == tuple(templates_of(split))
    assert loaded.split == words
    assert loaded.options == {"apps": "all"}
