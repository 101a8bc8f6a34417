"""Adapters and pairs on a double of the hub: pushed, found by name, and never unpickled."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from homeostat import TransformersModel
from homeostat.agent import AgentSpec
from homeostat.agent.models.loading import resolve
from homeostat.alignment import Adapter
from homeostat.alignment.preference.pairs import Pair
from homeostat.alignment.preference.sharing import push_pairs
from homeostat.alignment.sail.adapters import lora, write_card
from homeostat.errors import ConfigError, HubError, ModelError
from homeostat.sensors.chat.messages import Message, Part, Prompt
from tests.hub_double import Hub

BASE = "Some-Org/tiny-text"
# huggingface_hub uploads large files in a way that its HTTP library deprecates
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>':DeprecationWarning")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, text_folder: Path) -> Path:
    """An adapter with weights that matter, and its card."""
    folder = tmp_path_factory.mktemp("trained") / "adapter"
    model = TransformersModel.load(str(text_folder), "cpu", "float32").model
    adapted = lora(model, ["model.layers.1.self_attn.q_proj"], r=2, alpha=4, seed=0)
    torch.manual_seed(1)
    for name, weight in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight)
    adapted.peft_config["default"].base_model_name_or_path = str(text_folder)
    adapted.save_pretrained(str(folder))
    write_card(folder, {"base model": str(text_folder), "layers": "1"}, {"loss": (0.7, 0.25)})
    return folder


@pytest.fixture
def shared(hub: Hub, trained: Path, text_folder: Path) -> Hub:
    """The hub with the adapter and its base model."""
    hub.put(BASE, {file.name: file.read_bytes() for file in text_folder.iterdir() if file.is_file()})
    Adapter.from_pretrained(trained).push_to_hub("my-org/adapter", base_model=BASE, private=True)
    return hub


def logits(model: TransformersModel) -> Any:
    return model.model(torch.tensor([[5, 6, 7, 8]])).logits


def test_an_adapter_is_pushed_with_its_base_and_its_card(shared: Hub, trained: Path) -> None:
    files = shared.repos["models/my-org/adapter"].files("main")
    assert files is not None
    assert sorted(files) == ["README.md", "adapter_config.json", "adapter_model.safetensors"]
    assert files["adapter_model.safetensors"] == (trained / "adapter_model.safetensors").read_bytes()
    assert json.loads(files["adapter_config.json"])["base_model_name_or_path"] == BASE
    card = files["README.md"].decode()
    data = yaml.safe_load(card.split("---\n")[1])
    assert (data["base_model"], data["library_name"], data["tags"][0]) == (BASE, "peft", "homeostat")
    assert str(trained.parent) not in card
    assert f"**base model**: {BASE}" in card
    assert "| loss | training run | 0.7 | 0.25 |" in card
    assert shared.repos["models/my-org/adapter"].private


def test_a_name_on_the_hub_stands_wherever_a_model_is_named(shared: Hub, trained: Path) -> None:
    here = TransformersModel.load(str(trained), "cpu", "float32", reuse=False)
    for there in (
        Adapter.from_pretrained("my-org/adapter").load("cpu", "float32", reuse=False),
        TransformersModel.load("my-org/adapter", "cpu", "float32", reuse=False),
        AgentSpec(model="my-org/adapter", device="cpu", dtype="float32", sensors=(), controllers="none").build().model,
    ):
        assert isinstance(there, TransformersModel)
        assert torch.equal(logits(there), logits(here))
    plain = TransformersModel.load(BASE, "cpu", "float32", reuse=False)
    assert not torch.allclose(logits(plain), logits(here), atol=1e-3)


def test_offline_the_cached_adapter_is_found(shared: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    TransformersModel.load("my-org/adapter", "cpu", "float32", reuse=False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert (Path(resolve("my-org/adapter")) / "adapter_config.json").is_file()
    with pytest.raises(ModelError, match="HF_HUB_OFFLINE is set"):
        resolve("my-org/never")


def test_a_folder_of_this_machine_is_no_base_for_others(hub: Hub, trained: Path) -> None:
    with pytest.raises(ConfigError, match="is a folder of this machine; give its name on the hub as base_model"):
        Adapter.from_pretrained(trained).push_to_hub("my-org/adapter")
    assert not hub.requests


def test_pickled_weights_are_never_read(hub: Hub, trained: Path, tmp_path: Path) -> None:
    config = (trained / "adapter_config.json").read_bytes()
    (tmp_path / "adapter_config.json").write_bytes(config)
    (tmp_path / "adapter_model.bin").write_bytes(b"cos\nsystem\n(S'exit 1'\ntR.")
    for load in (Adapter.from_pretrained, TransformersModel.load):
        with pytest.raises(ModelError, match=r"holds no adapter_model\.safetensors"):
            load(str(tmp_path))
    hub.put("my-org/pickled", {"adapter_config.json": config, "adapter_model.bin": b"x"})
    with pytest.raises(ModelError, match=r"holds no adapter_model\.safetensors"):
        Adapter.from_pretrained("my-org/pickled")
    assert not any("adapter_model.bin" in request for request in hub.requests)


def test_what_is_no_adapter_is_one_line(hub: Hub, tmp_path: Path, trained: Path) -> None:
    hub.put("my-org/model", {"config.json": b"{}"})
    for name, kind, why in (
        (tmp_path, ConfigError, "holds no adapter_config.json"),
        (tmp_path / "no", ConfigError, "no adapter"),
        ("my-org/model", ModelError, "holds no adapter_config.json; it is no adapter"),
        ("my-org/never", HubError, "no adapter 'my-org/never' here or on the hub"),
    ):
        with pytest.raises(kind, match=why) as caught:
            Adapter.from_pretrained(name)
        assert "\n" not in str(caught.value)
    Adapter.from_pretrained(trained).save_pretrained(tmp_path / "copy")
    assert Adapter.from_pretrained(tmp_path / "copy").base_model == Adapter.from_pretrained(trained).base_model


def pairs() -> list[Pair]:
    picture = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    prompt = Prompt((Message("user", (Part("goal", "open it"), Part("screen", image=picture))),))
    return [Pair(prompt=prompt, chosen=f"yes {n}", rejected="no", kind="loop", task=f"t{n}") for n in range(3)]


def test_pairs_are_a_dataset_with_their_images(hub: Hub, tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    from datasets import Image, load_dataset

    assert push_pairs(pairs(), "my-org/pairs", model="m") == f"{hub.url}/datasets/my-org/pairs"
    repo = hub.repos["datasets/my-org/pairs"]
    assert repo.private
    files = repo.files("main")
    assert files is not None
    card = files["README.md"].decode()
    (config,) = yaml.safe_load(card.split("---\n")[1])["configs"]
    (split,) = config["data_files"]
    assert split["split"] == "train"
    assert "**pairs of the kind loop**: 3" in card
    (tmp_path / "x.parquet").write_bytes(files[split["path"]])
    rows = load_dataset("parquet", data_files=str(tmp_path / "x.parquet"), split="train", cache_dir=str(tmp_path / "c"))
    assert rows["task"] == ["t0", "t1", "t2"]
    (image,) = rows[0]["images"]
    image = image if not isinstance(image, dict) else Image().decode_example(image)
    assert np.array_equal(np.asarray(image), np.arange(48, dtype=np.uint8).reshape(4, 4, 3))
