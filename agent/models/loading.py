"""Finds a model by name or folder and loads its weights, processor and prompt style, with one-line errors."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from homeostat.agent.models.pictures import resize_of
from homeostat.agent.prompts import QWEN2_5_VL, QWEN3_VL, VERBOSE, PromptStyle
from homeostat.components import component
from homeostat.data_files import DataError, read_text
from homeostat.errors import ModelError, UnknownName
from homeostat.foreign_text import clipped, quoted, visible
from homeostat.plugins import is_ours, load_plugin, plugins

__all__ = ["GROUP", "NANO", "load_style", "load_weights", "nano_path", "resolve", "template_hash", "weights_hash"]

NANO = "homeostat/nano"
"""The name of the embedded model."""
GROUP = "homeostat.models"
"""The entry-point group in which packages register models: a name, and a function that returns the model's folder."""
_HUB_SECONDS = 5.0
_LARGE_BYTES = 4 * 2**30
_THOUSANDTHS = VERBOSE.model_copy(update={"coordinates": "thousandths"})
_STYLES = {
    "qwen2_vl": _THOUSANDTHS,
    "qwen2_5_vl": QWEN2_5_VL,
    "qwen3_vl": QWEN3_VL,
    "qwen3_vl_moe": QWEN3_VL,
    "qwen3_5": _THOUSANDTHS,
    "qwen3_5_moe": _THOUSANDTHS,
}
"""The style of models that bring none of their own, by model type; every other type gets the general one."""


def nano_path(name: str = NANO) -> Path:
    """The folder of an embedded model.

    Args:
        name: The name under which a package registers it, such as ``"homeostat/nano"``.

    Returns:
        The folder with its weights, tokenizer and prompt style.

    Raises:
        UnknownName: No installed package registers a model of this name.
        ConfigError: The package that registers the model can't be imported.
        ComponentError: The registered function raised an error.
        ModelError: The model is registered, but its folder is missing.
    """
    find = load_plugin(GROUP, "model", name)
    with component("model", name):
        folder = Path(find())
    if not (folder / "config.json").is_file():
        own = is_ours(plugins(GROUP)[name])
        fix = "train it: homeostat clone" if own else "reinstall the package that registers it"
        raise ModelError(f"model {name!r} is not in this installation ({folder} holds no config.json); {fix}")
    return folder


def resolve(name: str | os.PathLike[str]) -> str:
    """Finds what transformers loads a model from.

    Args:
        name: The name of a registered model, a folder, or a hub name.

    Returns:
        The folder, or the hub name of a model that is cached or can be reached.

    Raises:
        ModelError: There is no such model, or the hub can't be reached.
        UnknownName: The name begins with ``homeostat/``, but no package registers it.
    """
    text = os.fspath(name)
    if text in plugins(GROUP):
        return str(nano_path(text))
    try:
        folder = Path(text).expanduser()
        is_folder = folder.is_dir()
    except (OSError, RuntimeError):  # a name that the file system refuses to look up, or an unknown home
        raise ModelError(f"no model {quoted(text)}; give a folder, a hub name like 'org/model', or {NANO!r}") from None
    if is_folder:
        if not (folder / "config.json").is_file():
            raise ModelError(f"folder {text!r} holds no config.json; give the folder that save_pretrained wrote")
        return str(folder)
    if folder.exists() or text.startswith((".", "/", "~")) or text.count("/") != 1 or "\\" in text:
        raise ModelError(f"no model folder {text!r}; give a folder, a hub name like 'org/model', or {NANO!r}")
    if text.startswith("homeostat/"):
        raise UnknownName.of("model", text, plugins(GROUP))
    _check_hub(text)
    return text


def _check_hub(name: str) -> None:
    """Asks the hub once, in place of the loader's long retries, and raises ModelError where that fails."""
    from huggingface_hub import HfApi, constants, try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError

    try:
        if isinstance(try_to_load_from_cache(name, "config.json"), str):
            return
        if constants.HF_HUB_OFFLINE:
            raise ModelError(f"model {name!r} is not in the local cache and HF_HUB_OFFLINE is set; give a folder")
        HfApi().model_info(name, timeout=_HUB_SECONDS)
    except (RepositoryNotFoundError, HFValidationError):
        raise ModelError(f"unknown model {name!r} on the hub; check the spelling, or log in for a gated one") from None
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(
            f"model {name!r} is not cached and the hub can't be reached ({type(error).__name__}); give a folder"
        ) from None


def load_weights(source: str, device: str | None, dtype: str | None) -> tuple[Any, Any]:
    """Loads a model's weights and its processor. Code from the model's folder is never run.

    Args:
        source: A folder or a hub name, as :func:`resolve` returns it.
        device: Where the model is loaded; None takes the fastest device available.
        dtype: The type of the weights, such as ``"bfloat16"``; None chooses by device and size.

    Returns:
        The model in evaluation mode on its device, and its image-text processor or tokenizer.

    Raises:
        ModelError: The model can't be loaded; the message is one line.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText, AutoProcessor, AutoTokenizer
    from transformers.utils import logging

    quiet = Path(source).is_dir() and logging.is_progress_bar_enabled()  # a folder loads quickly: no progress bar
    if quiet:
        logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    local = {"local_files_only": Path(source).is_dir(), "trust_remote_code": False}
    try:
        config = AutoConfig.from_pretrained(source, **local)
        where = torch.device(device or _best_device())
        kind = _dtype(dtype, where.type, source)
        sees = type(config) in AutoModelForImageTextToText._model_mapping
        auto = AutoModelForImageTextToText if sees else AutoModelForCausalLM
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the loaders' warnings are about their own internals
            processor = (AutoProcessor if sees else AutoTokenizer).from_pretrained(source, **local)
            model = auto.from_pretrained(source, config=config, dtype=kind, **local)
        model.to(where)  # type: ignore[arg-type]
        model.train(False)
    except Exception as error:
        reason = str(error).strip().split("\n")[0][:200]
        raise ModelError(f"can't load model {source!r}: {type(error).__name__}: {reason}; check the folder") from None
    finally:
        if quiet:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]
    return model, processor


def weights_hash(source: str) -> str | None:
    """Returns a hash that identifies a model's weights.

    Args:
        source: A folder or a hub name.

    Returns:
        The first 12 hexadecimal digits of the sha256 of the folder's safetensors files; None for a hub name.
    """
    files = sorted(Path(source).glob("*.safetensors")) if Path(source).is_dir() else []
    if not files:
        return None
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            while block := file.read(2**20):
                digest.update(block)
    return digest.hexdigest()[:12]


def template_hash(source: str) -> str:
    """Returns a hash that identifies the wording of a model's prompts: its chat template and its prompt style.

    A model without a style of its own counts with the style of its model type. Of a hub model the style alone counts,
    because the template belongs to the weights.

    Args:
        source: A folder or a hub name.

    Returns:
        The first 12 hexadecimal digits of the sha256.
    """
    digest = hashlib.sha256()
    for name in ("chat_template.jinja", "homeostat.json"):
        file = Path(source) / name
        digest.update(file.read_bytes() if file.is_file() else b"-")
    if not (Path(source) / "homeostat.json").is_file():
        digest.update(_STYLES.get(_model_type(source), VERBOSE).wording().encode())
    return digest.hexdigest()[:12]


def load_style(source: str | None, model_type: str, processor: Any = None) -> PromptStyle:
    """Loads a model's prompt style.

    Args:
        source: The model's folder or hub name; None for a model without either.
        model_type: The transformers model type, which decides on the prompts of a model without a style of its own.
        processor: The model's image-text processor, which decides on the size of the picture that the model sees.

    Returns:
        The style in the folder's ``homeostat.json``; else the style of this model type, or
        :data:`~homeostat.agent.VERBOSE` where there is none.

    Raises:
        ModelError: ``homeostat.json`` is no prompt style.
    """
    path = Path(source or "") / "homeostat.json"
    if source is None or not path.is_file():
        return _fitted(_STYLES.get(model_type, VERBOSE), processor)
    try:
        return _fitted(PromptStyle.model_validate_json(read_text(path)), processor)
    except (ValidationError, DataError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else {"loc": (), "msg": str(error)}
        where = ".".join(map(str, first["loc"])) or "the file"
        why = f"{where}: {str(first['msg']).removeprefix('Value error, ')}"
        raise ModelError(f"{str(path)!r} is no prompt style: {clipped(visible(why), 240)}; see PromptStyle") from None


def _fitted(style: PromptStyle, processor: Any) -> PromptStyle:
    """The style with the picture size of the model's processor, unless it states one."""
    resize = resize_of(processor) if style.resize is None else None
    return style if resize is None else style.model_copy(update={"resize": resize})


def _model_type(source: str) -> str:
    """The model type that a folder, or the cached copy of a hub model, states; "" where none is found."""
    from huggingface_hub import try_to_load_from_cache

    try:
        path = Path(source) / "config.json"
        if not path.is_file():
            cached = try_to_load_from_cache(source, "config.json")
            path = Path(cached) if isinstance(cached, str) else path
        return str(json.loads(read_text(path)).get("model_type", ""))
    except (DataError, ValueError, AttributeError):  # the loader of the weights says what is wrong with the file
        return ""


def _best_device() -> str:
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _dtype(asked: str | None, device: str, source: str) -> Any:
    import torch

    if asked is not None:
        kind = getattr(torch, asked, None)
        if not isinstance(kind, torch.dtype):
            raise ModelError(f"unknown dtype {asked!r}; give float32, bfloat16 or float16")
        return kind
    if device == "cpu":
        # float32 is exact, and fast enough for small models; a large one would not fit into memory.
        weights = sum(f.stat().st_size for f in Path(source).glob("*.safetensors")) if Path(source).is_dir() else 0
        return torch.bfloat16 if weights > _LARGE_BYTES else torch.float32
    if device == "cuda" and not torch.cuda.is_bf16_supported():
        return torch.float16
    return torch.bfloat16
