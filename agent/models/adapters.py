"""LoRA adapters in PEFT's format: found by their folder, and merged into the base model that they name.

An adapter's folder may hold a prompt style (``homeostat.json``), in which the adapter was trained. Without one, the
base model's style holds.
"""

from __future__ import annotations

import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from homeostat.data_files import DataError, read_json
from homeostat.errors import ModelError
from homeostat.foreign_text import quoted
from homeostat.hub import download_folder

__all__ = ["ADAPTER_FILES", "adapter_base", "adapter_on_hub", "check_adapter", "is_adapter", "merged"]

ADAPTER_FILES = ("adapter_config.json", "*.safetensors", "homeostat.json", "README.md")
"""The files of an adapter that are downloaded, copied and uploaded."""
_FILE = "adapter_config.json"
_WEIGHTS = "adapter_model.safetensors"


def is_adapter(source: str) -> bool:
    """Tells whether a folder holds an adapter.

    Args:
        source: A folder, or any other name of a model.

    Returns:
        True for a folder with PEFT's configuration and no whole model.
    """
    folder = Path(source)
    return (folder / _FILE).is_file() and not (folder / "config.json").is_file()


def adapter_on_hub(name: str, *, revision: str | None = None, token: str | None = None) -> Path:
    """Downloads an adapter from the hub, or finds it in the local cache.

    Args:
        name: The name of its repository.
        revision: The adapter's version; None takes the newest.
        token: The token for the hub.

    Returns:
        Its folder.

    Raises:
        HubError: The hub has nothing of this name, or can't be reached.
        ModelError: The repository holds no adapter, or its weights are no safetensors.
    """
    folder = download_folder(name, "adapter", ADAPTER_FILES, revision=revision, token=token)
    if not is_adapter(str(folder)):
        raise ModelError(f"{name!r} on the hub holds no {_FILE}; it is no adapter")
    check_adapter(str(folder))
    return folder


def check_adapter(folder: str) -> None:
    """Checks that an adapter's weights are safetensors, because pickled ones could run code.

    Args:
        folder: The adapter's folder.

    Raises:
        ModelError: There are no such weights.
    """
    if not (Path(folder) / _WEIGHTS).is_file():
        raise ModelError(f"adapter {folder!r} holds no {_WEIGHTS}; save it again in PEFT with safe_serialization=True")


def adapter_base(folder: str) -> str:
    """Reads which model an adapter belongs to.

    Args:
        folder: The adapter's folder.

    Returns:
        The base model's name or folder.

    Raises:
        ModelError: The configuration can't be read, or names no base model.
    """
    file = Path(folder) / _FILE
    try:
        config = read_json(file)
    except DataError as error:
        raise ModelError(f"{str(file)!r} can't be read: {error}; train the adapter again") from None
    base = config.get("base_model_name_or_path") if isinstance(config, dict) else None
    if not isinstance(base, str) or not base:
        raise ModelError(f"{str(file)!r} names no base model ({quoted(base)}); train the adapter again")
    if is_adapter(base):
        raise ModelError(f"{str(file)!r} names an adapter as its base model ({quoted(base)}); merge that one first")
    return base


def merged(model: Any, folder: str) -> Any:
    """Merges an adapter into its base model.

    Args:
        model: The base model; its weights change.
        folder: The adapter's folder.

    Returns:
        The model in evaluation mode.

    Raises:
        ModelError: PEFT is not installed, the weights are no safetensors, or the adapter does not fit the model.
    """
    check_adapter(folder)
    if find_spec("peft") is None:
        raise ModelError(f"adapter {folder!r} needs peft; pip install 'homeostat[align]'")
    from peft import PeftModel

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = PeftModel.from_pretrained(model, folder).merge_and_unload()
    except Exception as error:
        reason = str(error).strip().partition("\n")[0][:160]
        raise ModelError(
            f"adapter {folder!r} does not fit its base model {adapter_base(folder)!r} ({reason}); train it again"
        ) from None
    return found.train(False)
