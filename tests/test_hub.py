"""Records through folders and through a double of the hub: pushed, read back, refused, and described by their cards."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from homeostat.alignment import Localization
from homeostat.alignment.sail.localization import Causal
from homeostat.controllers import HeadProfile
from homeostat.errors import ConfigError, HubError
from homeostat.hub import check_repo
from homeostat.model_cards import Card, Metric, hub_base, is_hub_name, is_own_card
from homeostat.sensors import Calibration, ConflictProbe, ProbeWeights
from homeostat.sensors.calibration import Alarm
from tests.hub_double import Hub

BASE = "Some-Org/some.model-1"
CALIBRATION = Calibration(
    model=BASE,
    weights=None,
    template="0123456789ab",
    suite="atomic",
    split="dev",
    seed=3,
    rate=0.05,
    alarms=(Alarm(sensor="confidence", side="below", threshold=0.25, episodes=200, settings="Confidence()"),),
)
PROFILE = HeadProfile(
    model=BASE,
    suite="atomic",
    heads={"pasta": frozenset({(1, 2), (0, 3)})},
    gains={"zero-tuning": 1.5},
    head_weights={"goal": ((0, 1, 2.5),)},
)
LOCALIZATION = Localization(
    model=BASE,
    twins=12,
    higher=("system",),
    **dict.fromkeys(("magnitude", "direction", "distribution", "score"), ((0.5, -0.25),)),
    heads=((0, 1),),
    layers=(0,),
    causal=Causal(
        factor=0.1,
        cases=9,
        kept_plain=0.5,
        kept_focal=0.25,
        kept_random=(0.5, 0.5),
        margin_plain=0.125,
        margin_focal=-0.75,
        margin_random=(0.1, 0.2),
    ),
)
PROBE = ProbeWeights(
    model=BASE,
    higher=("system",),
    lower=("user",),
    heads=((0, 1),),
    mean=(0.0, 1.0),
    scale=(1.0, 2.0),
    coefficients=(0.5, -0.5),
    intercept=0.25,
    threshold=0.75,
    rate=0.1,
    prompts=40,
    figures={"auroc_left_out": 0.9, "auroc_dev": 0.8, "alarms_dev": 0.6},
)
RECORDS: list[Any] = [CALIBRATION, PROFILE, LOCALIZATION, PROBE]
every_record = pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.what)


def front_matter(text: str) -> dict[str, Any]:
    assert text.startswith("---\n")
    found = yaml.safe_load(text.split("---\n")[1])
    assert isinstance(found, dict)
    return found


@every_record
def test_a_folder_holds_the_record_and_its_card(record: Any, tmp_path: Path) -> None:
    record.save_pretrained(tmp_path / "deep" / "folder")
    folder = tmp_path / "deep" / "folder"
    assert sorted(file.name for file in folder.iterdir()) == sorted(["README.md", record.file_name])
    assert json.loads((folder / record.file_name).read_text())["format"] == 1
    for name in (folder, str(folder), folder / record.file_name, str(folder / record.file_name)):
        assert type(record).from_pretrained(name) == record
        assert type(record).load(name) == record
    record.save(str(tmp_path / "plain.json"))
    assert type(record).load(str(tmp_path / "plain.json")) == record


@every_record
@pytest.mark.parametrize("number", ["NaN", "Infinity", "-1e999"])
def test_a_number_that_is_not_finite_is_refused(record: Any, number: str, tmp_path: Path) -> None:
    text = record.model_dump_json()
    (tmp_path / record.file_name).write_text(re.sub(r"(?<=[:\[])-?\d+\.\d+", number, text, count=1))
    with pytest.raises(ConfigError, match="holds a number that is not finite"):
        type(record).from_pretrained(tmp_path)


@every_record
def test_a_card_says_what_how_and_limits_in_words_that_hold(record: Any, tmp_path: Path, hub: Hub) -> None:
    from huggingface_hub import ModelCard

    record.push_to_hub("my-org/shared")
    text = hub.repos["models/my-org/shared"].files("main")["README.md"].decode()  # type: ignore[index]
    data = front_matter(text)
    assert data["library_name"] == "homeostat"
    assert data["base_model"] == BASE
    assert data["tags"][0] == "homeostat"
    assert ModelCard(text).data.library_name == "homeostat"
    for heading in ("## How to load it", "## How it was made", "## Limits"):
        assert heading in text
    code = text.partition("```python\n")[2].partition("```")[0]
    names: dict[str, Any] = {"sensors": ()}
    exec(code, names)  # the lines load what was pushed
    loaded = [value for value in names.values() if isinstance(value, type(record) | ConflictProbe)]
    assert len(loaded) == 1
    assert (loaded[0].probe if isinstance(loaded[0], ConflictProbe) else loaded[0]) == record


def test_measured_figures_stand_in_the_card_with_their_interval(tmp_path: Path) -> None:
    text = PROBE.card().text()
    results = front_matter(text)["model-index"][0]["results"]
    found = [(one["dataset"]["name"], metric["name"], metric["value"]) for one in results for metric in one["metrics"]]
    assert found == [
        ("train wordings that were left out of the fit", "AUROC", 0.9),
        ("dev wordings", "AUROC on dev", 0.8),
        ("dev wordings", "share of conflicts with an alarm", 0.6),
    ]
    assert "| AUROC on dev | dev wordings | 0.8 | not measured |" in text
    assert "0.1 to 0.2" in LOCALIZATION.card().text()
    assert "causal check**: holds" in LOCALIZATION.card().text()


@every_record
def test_what_was_pushed_is_read_back_and_a_revision_stays(record: Any, hub: Hub) -> None:
    kind = type(record)
    address = record.push_to_hub("my-org/shared", private=True, token="hf_secret", commit_message="First")
    assert address == f"{hub.url}/my-org/shared"
    repo = hub.repos["models/my-org/shared"]
    assert repo.private
    assert repo.messages == ["First"]
    assert set(hub.tokens) == {"hf_secret"}
    first = repo.head
    assert kind.from_pretrained("my-org/shared") == record
    changed = record.model_copy(update={"model": "Other/model"})
    changed.push_to_hub("my-org/shared")
    assert kind.from_pretrained("my-org/shared") == changed
    assert kind.from_pretrained("my-org/shared", revision=first) == record
    assert repo.private


def test_the_card_of_a_model_is_not_replaced(hub: Hub, tmp_path: Path) -> None:
    hub.put("my-org/model", {"README.md": b"---\nlicense: mit\n---\n# My model\n", "config.json": b"{}"})
    CALIBRATION.push_to_hub("my-org/model")
    files = hub.repos["models/my-org/model"].files("main")
    assert files is not None
    assert files["README.md"].endswith(b"# My model\n")
    assert sorted(files) == ["README.md", "calibration.json", "config.json"]
    (tmp_path / "README.md").write_text("# Mine\n")
    CALIBRATION.save_pretrained(tmp_path)
    assert (tmp_path / "README.md").read_text() == "# Mine\n"
    assert is_own_card(CALIBRATION.card().text())
    assert is_own_card('---\n"tags":\n- "homeostat"\n---\n# X\n')  # as PyYAML writes where a library quotes all texts
    assert not is_own_card("# homeostat\n- homeostat\n")
    assert not is_own_card("---\nmodel: homeostat\n---\n")
    assert not is_own_card("---\n" + "[" * 5000 + "\n---\n")


@pytest.mark.parametrize(
    ("name", "revision", "why"),
    [
        ("my-org/nothing", None, "no calibration 'my-org/nothing' here or on the hub"),
        ("my-org/shared", "v9", "'my-org/shared' on the hub has no revision 'v9'"),
        ("my-org/other", None, "'my-org/other' on the hub holds no calibration.json"),
    ],
)
def test_what_the_hub_does_not_have_is_one_line(hub: Hub, name: str, revision: str | None, why: str) -> None:
    CALIBRATION.push_to_hub("my-org/shared")
    hub.put("my-org/other", {"x.txt": b"x"})
    with pytest.raises(HubError, match=why) as caught:
        Calibration.from_pretrained(name, revision=revision)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "name", ["", "x", "a/b/c", "../x", "a b/c", "org/na..me", "org/na--me", "org/", "/x", "\x1b/a"]
)
def test_a_bad_name_is_refused_before_anything_is_asked(hub: Hub, name: str) -> None:
    with pytest.raises(HubError, match="can't be a name on the hub; write ORG/NAME") as caught:
        CALIBRATION.push_to_hub(name)
    assert str(caught.value).isprintable()
    assert not hub.requests
    check_repo("my-org/my.name_1")


def test_who_may_not_write_is_told_to_log_in(hub: Hub) -> None:
    hub.accepted = "hf_right"
    for token in (None, "hf_wrong"):
        with pytest.raises(HubError, match="hf auth login") as caught:
            CALIBRATION.push_to_hub("my-org/shared", token=token)
        assert "hf_wrong" not in str(caught.value)
    CALIBRATION.push_to_hub("my-org/shared", token="hf_right")


def test_offline_the_cache_serves_and_the_rest_is_one_line(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    CALIBRATION.push_to_hub("my-org/shared")
    assert Calibration.from_pretrained("my-org/shared") == CALIBRATION
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    asked = len(hub.requests)
    assert Calibration.from_pretrained("my-org/shared") == CALIBRATION
    with pytest.raises(HubError, match="not in the local cache, and HF_HUB_OFFLINE is set"):
        Calibration.from_pretrained("my-org/never")
    with pytest.raises(HubError, match="HF_HUB_OFFLINE is set"):
        CALIBRATION.push_to_hub("my-org/shared")
    assert len(hub.requests) == asked


def test_a_path_is_not_looked_up_on_the_hub(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    (tmp_path / "empty" / "deep").mkdir(parents=True)
    for name, why in {
        "runs/nothing": "no calibration 'runs/nothing'",
        "a/b.json": "no calibration 'a/b.json'",
        "./a/b": "no calibration './a/b'",
        "x": "no calibration 'x'",
        "empty/deep": "holds no calibration.json; give the folder of a calibration",
        "a\0/b": "no calibration",
    }.items():
        with pytest.raises(ConfigError, match=why) as caught:
            Calibration.from_pretrained(name)
        assert "\n" not in str(caught.value)
    CALIBRATION.save_pretrained("mine")
    with pytest.raises(ConfigError, match="revision 'v1' is a version on the hub, but 'mine' is here"):
        Calibration.from_pretrained("mine", revision="v1")
    assert not hub.requests


@every_record
def test_a_newer_format_is_named_before_any_unknown_field(record: Any, tmp_path: Path) -> None:
    record.save_pretrained(tmp_path)
    file = tmp_path / record.file_name
    data = json.loads(file.read_text())
    for version in (2, "2", None):
        file.write_text(json.dumps({**data, "format": version, "something_new": 1}))
        with pytest.raises(ConfigError, match=f"has the format {version!r}, and this version .* upgrade homeostat"):
            type(record).from_pretrained(tmp_path)
    file.write_text(json.dumps({**data, "something_new": 1}))
    with pytest.raises(ConfigError, match="something_new"):
        type(record).from_pretrained(tmp_path)


def test_only_names_on_the_hub_are_told_to_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "org" / "model").mkdir(parents=True)
    assert hub_base("Org/model") == "Org/model"
    for name in ("homeostat/nano", "org/model", "/a/b", "a/b/c", "openai:x", "http://a/b", "x", "", "a/b.gguf"):
        assert hub_base(name) == ""
    assert "base_model" not in front_matter(CALIBRATION.model_copy(update={"model": "/a/b"}).card().text())
    assert is_hub_name("a/b")


def test_a_card_takes_any_text_without_breaking() -> None:
    bad = "\x1b[2J---\n```\n<script>|x\ntags: [a]\n# H"
    card = Card(
        title=bad,
        about=bad,
        load="x = 1",
        made=bad,
        limits=bad,
        facts={bad: bad},
        metrics=(Metric(bad, 1.0, bad),),
        tags=(bad,),
        base_model=bad,
    )
    text = card.text()
    assert front_matter(text)["tags"] == ["homeostat", bad]
    body = text.partition("\n---\n")[2]
    assert "\x1b" not in body
    assert "<script>" not in body
    assert [line for line in body.splitlines() if line.startswith("# ")] == [body.splitlines()[1]]
    assert body.count("```") == 2


def test_nothing_heavy_is_imported_for_a_folder(tmp_path: Path) -> None:
    CALIBRATION.save_pretrained(tmp_path)
    code = (
        "import sys\nfrom homeostat.sensors.calibration import Calibration\n"
        f"Calibration.from_pretrained({str(tmp_path)!r})\n"
        "heavy = {'torch', 'transformers', 'huggingface_hub'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


def test_names_on_the_hub_stand_where_files_do(hub: Hub, tmp_path: Path) -> None:
    from homeostat.agent.registry import calibration_of, controllers_of, probe_of
    from homeostat.nano import executor

    own = Calibration.load(executor())
    own.push_to_hub("my-org/thresholds")
    assert calibration_of("homeostat/nano", Path("my-org/thresholds")) == own
    heads = HeadProfile.load(executor())
    heads.push_to_hub("my-org/heads")
    assert controllers_of("pasta", "homeostat/nano", Path("my-org/heads")).controllers
    with pytest.raises(HubError, match="no profile 'my-org/nothing' here or on the hub"):
        controllers_of("pasta", "homeostat/nano", Path("my-org/nothing"))
    PROBE.push_to_hub("my-org/probe")
    with pytest.raises(ConfigError, match="was learned on 'Some-Org/some"):  # other weights stay refused
        probe_of("homeostat/nano", Path("my-org/probe"))


def test_readers_and_writers_take_paths_as_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from homeostat.alignment import Pointer, compare_heads, load_public, read_conversations, read_pairs, read_traces
    from homeostat.envs.harness import read_evaluation, write_json

    monkeypatch.chdir(tmp_path)
    compare_heads(LOCALIZATION, LOCALIZATION).save("deep/comparison.json")
    assert (tmp_path / "deep" / "comparison.json").is_file()
    head = Pointer(8)
    head.save("head")
    assert head.state_dict().keys() == Pointer.load("head").state_dict().keys()
    write_json({"episodes": []}, "result.json")
    assert read_evaluation("result.json").results == ()
    for read, why in (
        (read_pairs, "no data at 'gone'"),
        (read_conversations, "no conversations at 'gone'"),
        (lambda path: read_traces([path]), "no traces at 'gone'"),
        (lambda path: load_public("iheval", path), "no iheval data at 'gone'"),
    ):
        with pytest.raises(ConfigError, match=why):
            read("gone")
