"""Finds a model by name or folder and loads its weights, processor and prompt style, with one-line errors."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from homeostat.agent.models.adapters import adapter_base, adapter_on_hub, is_adapter, merged
from homeostat.agent.models.gguf import (
    dequantised,
    gguf_arguments,
    gguf_file_in,
    gguf_parameters,
    is_gguf,
    unmark_quantised,
)
from homeostat.agent.models.pictures import fitted, lacking_torchvision
from homeostat.agent.models.quantised import quantised_arguments
from homeostat.agent.models.server_names import is_served
from homeostat.agent.prompts import QWEN2_5_VL, QWEN3_VL, TEXT, VERBOSE, PromptStyle
from homeostat.components import component
from homeostat.data_files import DataError, read_text
from homeostat.errors import ModelError, UnknownName
from homeostat.foreign_text import clipped, quoted, visible
from homeostat.model_options import Quantization
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


def resolve(name: str | os.PathLike[str], revision: str | None = None) -> str:
    """Finds what transformers loads a model from.

    Args:
        name: The name of a registered model, a folder (also of an adapter), a GGUF file, or a hub name.
        revision: The version of a hub model, or of an adapter's base model; None for the newest.

    Returns:
        The folder or file (of an adapter on the hub: its folder in the local cache), or the hub name of a model that
        is cached or can be reached.

    Raises:
        ModelError: There is no such model, the hub can't be reached, a model that is not on the hub has a revision, or
            the name means a model on a server, whose weights are not here.
        HubError: An adapter can't be downloaded from the hub.
        UnknownName: The name begins with ``homeostat/``, but no package registers it.
    """
    text = os.fspath(name)
    if is_served(text):
        raise ModelError(
            f"model {quoted(text)} is on a server, but its weights are needed here; give a model by its files"
        )
    source = _on_disk(text)
    if source is None:
        if not _check_hub(text, revision):
            return text
        source = str(adapter_on_hub(text))
    if is_adapter(source):
        resolve(adapter_base(source), revision)
        return source
    if revision is not None:
        raise ModelError(f"revision {revision!r} is a version on the hub, but model {text!r} is not; leave it out")
    return source


def _on_disk(text: str) -> str | None:
    """The folder or file of a model on this machine; None for a name on the hub."""
    if text in plugins(GROUP):
        return str(nano_path(text))
    try:
        folder = Path(text).expanduser()
        is_folder = folder.is_dir()
    except (OSError, RuntimeError):  # a name that the file system refuses to look up, or an unknown home
        raise ModelError(f"no model {quoted(text)}; give a folder, a hub name like 'org/model', or {NANO!r}") from None
    if is_folder:
        if (folder / "config.json").is_file() or is_adapter(str(folder)):
            return str(folder)
        if (packed := gguf_file_in(folder)) is not None:
            return str(packed)
        raise ModelError(f"folder {text!r} holds no config.json; give the folder that save_pretrained wrote")
    if is_gguf(str(folder)):
        return str(folder)
    if text.lower().endswith(".gguf") or folder.is_file():
        raise ModelError(f"no model file {text!r}; give an existing .gguf file, a folder, or a hub name")
    if folder.exists() or text.startswith((".", "/", "~")) or text.count("/") != 1 or "\\" in text:
        raise ModelError(f"no model folder {text!r}; give a folder, a hub name like 'org/model', or {NANO!r}")
    if text.startswith("homeostat/"):
        raise UnknownName.of("model", text, plugins(GROUP))
    return None


def _check_hub(name: str, revision: str | None) -> bool:
    """Asks the hub once, in place of the loader's long retries, and raises ModelError where that fails.

    Returns whether the name means an adapter; the revision is then that of its base model.
    """
    from huggingface_hub import HfApi, constants, try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        if isinstance(try_to_load_from_cache(name, "config.json", revision=revision), str):
            return False
        if isinstance(try_to_load_from_cache(name, "adapter_config.json"), str):
            return True
        if constants.HF_HUB_OFFLINE:
            raise ModelError(f"model {name!r} is not in the local cache and HF_HUB_OFFLINE is set; give a folder")
        try:
            found = HfApi().model_info(name, revision=revision, timeout=_HUB_SECONDS)
        except RevisionNotFoundError:
            found = HfApi().model_info(name, timeout=_HUB_SECONDS)
            if not _holds_adapter(found):
                raise
        return _holds_adapter(found)
    except RevisionNotFoundError:
        raise ModelError(f"model {name!r} has no revision {revision!r}; give a branch, a tag or a commit") from None
    except (RepositoryNotFoundError, HFValidationError):
        raise ModelError(f"unknown model {name!r} on the hub; check the spelling, or log in for a gated one") from None
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(
            f"model {name!r} is not cached and the hub can't be reached ({type(error).__name__}); give a folder"
        ) from None


def _holds_adapter(found: Any) -> bool:
    """Whether a repository on the hub holds an adapter, and no whole model."""
    files = {file.rfilename for file in found.siblings or ()}
    return "adapter_config.json" in files and "config.json" not in files


def load_weights(
    source: str,
    device: str | None,
    dtype: str | None,
    revision: str | None = None,
    quantization: Quantization | None = None,
) -> tuple[Any, Any]:
    """Loads a model's weights and its processor. Code from the model's folder is never run.

    Args:
        source: A folder, a GGUF file or a hub name, as :func:`resolve` returns it. An adapter is merged into its base
            model.
        device: Where the model is loaded; None takes the fastest device available.
        dtype: The type of the weights, such as ``"bfloat16"``; None chooses by device and size. The weights of a GGUF
            file are dequantised to it.
        revision: The version of a hub model, or of an adapter's base model; None for the newest.
        quantization: How the weights are quantised while they are loaded; None leaves them whole.

    Returns:
        The model in evaluation mode on its device, and its image-text processor or tokenizer.

    Raises:
        ModelError: The model can't be loaded; the message is one line.
    """
    if is_adapter(source):
        base = resolve(adapter_base(source), revision)
        model, processor = load_weights(base, device, dtype, revision, quantization)
        return merged(model, source), processor
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText, AutoProcessor, AutoTokenizer
    from transformers.utils import logging

    packed = is_gguf(source)
    more = gguf_arguments(source) if packed else {}
    quantised = quantised_arguments(source, quantization, packed) if quantization is not None else None
    on_disk = packed or Path(source).is_dir()
    where_from = str(Path(source).parent) if packed else source
    quiet = on_disk and logging.is_progress_bar_enabled()  # a folder loads quickly: no progress bar
    if quiet:
        logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    local: dict[str, Any] = {"local_files_only": on_disk, "trust_remote_code": False, **more}
    local |= {"revision": revision} if revision is not None else {}
    try:
        config = AutoConfig.from_pretrained(where_from, **local)
        where = torch.device(device or _best_device())
        kind = _dtype(dtype, where.type, source)
        sees = type(config) in AutoModelForImageTextToText._model_mapping
        auto = AutoModelForImageTextToText if sees else AutoModelForCausalLM
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the loaders' warnings are about their own internals
            processor = (AutoProcessor if sees else AutoTokenizer).from_pretrained(where_from, **local)
            if packed:
                local |= dequantised()
            if quantised is not None:
                local |= quantised(kind) | {"device_map": {"": where}}
            model = auto.from_pretrained(where_from, config=config, dtype=kind, **local)
        if packed:
            unmark_quantised(model)
        if quantised is None:
            model.to(where)  # type: ignore[arg-type]
        model.train(False)
    except ModelError:
        raise
    except Exception as error:
        if (lacking := lacking_torchvision(error)) is not None:
            raise ModelError(f"can't load model {source!r}: {lacking}") from None
        reason = str(error).strip().split("\n")[0][:200]
        fix = "check the file" if packed else "check the folder"
        raise ModelError(f"can't load model {source!r}: {type(error).__name__}: {reason}; {fix}") from None
    finally:
        if quiet:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]
    return model, processor


def weights_hash(source: str) -> str | None:
    """Returns a hash that identifies a model's weights.

    Args:
        source: A folder, a GGUF file or a hub name.

    Returns:
        The first 12 hexadecimal digits of the sha256 of the GGUF file, or of the folder's safetensors files (for an
        adapter: also of its base model's hash, where that has one); None for a hub name.
    """
    files = sorted(Path(source).glob("*.safetensors")) if Path(source).is_dir() else []
    files = [Path(source)] if is_gguf(source) else files
    if not files:
        return None
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            while block := file.read(2**20):
                digest.update(block)
    if is_adapter(source):
        digest.update((weights_hash(resolve(adapter_base(source))) or "").encode())
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
    base = resolve(adapter_base(source)) if is_adapter(source) else source
    style = Path(source if (Path(source) / "homeostat.json").is_file() else base) / "homeostat.json"
    for file in (Path(base) / "chat_template.jinja", style):
        digest.update(file.read_bytes() if file.is_file() else b"-")
    if not style.is_file():
        kind = _model_type(base)
        digest.update(_general_style(kind, vision=_sees_images(kind)).wording().encode())
    return digest.hexdigest()[:12]


def load_style(source: str | None, model_type: str, processor: Any = None) -> PromptStyle:
    """Loads a model's prompt style.

    Args:
        source: The model's folder or hub name; None for a model without either.
        model_type: The transformers model type, which decides on the prompts of a model without a style of its own.
        processor: The model's image-text processor, which decides on the size of the picture that the model sees, or
            the tokenizer of a model that reads no images; None for a model with vision.

    Returns:
        The style in the folder's ``homeostat.json``; else that of an adapter's base model,
        :data:`~homeostat.agent.TEXT` for a model that reads no images, the style of this model type, or
        :data:`~homeostat.agent.VERBOSE` where there is none.

    Raises:
        ModelError: ``homeostat.json`` is no prompt style.
    """
    path = Path(source or "") / "homeostat.json"
    if source is not None and is_adapter(source) and not path.is_file():
        return load_style(resolve(adapter_base(source)), model_type, processor)
    if source is None or not path.is_file():
        vision = processor is None or hasattr(processor, "image_processor")
        return fitted(_general_style(model_type, vision=vision), processor)
    try:
        return fitted(PromptStyle.model_validate_json(read_text(path)), processor)
    except (ValidationError, DataError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else {"loc": (), "msg": str(error)}
        where = ".".join(map(str, first["loc"])) or "the file"
        why = f"{where}: {str(first['msg']).removeprefix('Value error, ')}"
        raise ModelError(f"{str(path)!r} is no prompt style: {clipped(visible(why), 240)}; see PromptStyle") from None


def _general_style(model_type: str, *, vision: bool) -> PromptStyle:
    """The style of a model that brings none of its own."""
    return _STYLES.get(model_type, VERBOSE) if vision else TEXT


def _sees_images(model_type: str) -> bool:
    """Whether models of a type read images; True where the type is unknown."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

    return not model_type or model_type in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES


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
        weights = 2 * gguf_parameters(source) if is_gguf(source) else weights
        return torch.bfloat16 if weights > _LARGE_BYTES else torch.float32
    if device == "cuda" and not torch.cuda.is_bf16_supported():
        return torch.float16
    return torch.bfloat16
