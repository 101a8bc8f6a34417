"""Adapter: a trained LoRA adapter as a folder, which can be loaded, copied and shared on the Hugging Face hub.

The folder has PEFT's form: ``adapter_config.json`` and ``adapter_model.safetensors``, a card, and the prompt style that
the adapter was trained in, if it has one (``homeostat.json``). It loads in plain PEFT too. Pickled weights are neither
loaded nor uploaded.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from homeostat.agent.models.adapters import ADAPTER_FILES, adapter_base, adapter_on_hub, check_adapter, is_adapter
from homeostat.agent.models.transformers_model import TransformersModel
from homeostat.errors import ConfigError
from homeostat.foreign_text import quoted
from homeostat.hub import check_repo, upload_folder
from homeostat.model_cards import hub_base, is_hub_name

__all__ = ["Adapter"]

_CONFIG = "adapter_config.json"


@dataclass(frozen=True)
class Adapter:
    """A trained adapter.

    Attributes:
        folder: The adapter's folder.
    """

    folder: Path

    @property
    def base_model(self) -> str:
        """The name or the folder of the model that the adapter belongs to."""
        return adapter_base(str(self.folder))

    @classmethod
    def from_pretrained(
        cls, name: str | os.PathLike[str], *, revision: str | None = None, token: str | None = None
    ) -> Adapter:
        """Finds an adapter in a folder or on the hub, from which it is downloaded.

        Args:
            name: A folder, or a name on the hub such as ``"my-org/my-adapter"``.
            revision: The version on the hub; None takes the newest.
            token: The token for the hub; None takes the one that you are logged in with.

        Returns:
            The adapter.

        Raises:
            ConfigError: There is no such adapter.
            ModelError: Its configuration can't be read, or its weights are no safetensors.
            HubError: The hub has nothing of this name, or can't be reached.
        """
        text = os.fspath(name)
        path = Path(text).expanduser()
        if path.exists():
            if revision is not None:
                raise ConfigError(f"revision {revision!r} is a version on the hub, but {text!r} is here; leave it out")
            if not is_adapter(str(path)):
                raise ConfigError(f"folder {text!r} holds no {_CONFIG}; give the folder of an adapter")
        elif is_hub_name(text):
            path = adapter_on_hub(text, revision=revision, token=token)
        else:
            raise ConfigError(f"no adapter {quoted(text)}; give a folder, or a name on the hub like 'org/name'")
        check_adapter(str(path))
        return cls(path)

    def load(self, device: str | None = None, dtype: str | None = None, **options: Any) -> TransformersModel:
        """Loads the base model with the adapter merged in.

        Args:
            device: The device; None for the fastest available.
            dtype: The type of the weights; None to choose by the model's size.
            options: Further options of :meth:`homeostat.TransformersModel.load`.

        Returns:
            The model.

        Raises:
            ModelError: The base model can't be loaded, or the adapter does not fit it.
        """
        return TransformersModel.load(str(self.folder), device, dtype, **options)

    def save_pretrained(self, folder: str | os.PathLike[str], *, base_model: str | None = None) -> None:
        """Copies the adapter.

        Args:
            folder: The new folder; it is created.
            base_model: A name of the base model that is valid elsewhere; None keeps the present one.

        Raises:
            ConfigError: The folder can't be written.
        """
        where = Path(folder)
        try:
            where.mkdir(parents=True, exist_ok=True)
            for file in sorted(file for pattern in ADAPTER_FILES for file in self.folder.glob(pattern)):
                shutil.copyfile(file, where / file.name)
            if base_model is not None:
                self._rename_base(where, base_model)
        except OSError as error:
            raise ConfigError(
                f"can't write the folder {str(where)!r}: {error.strerror}; choose another folder"
            ) from None

    def push_to_hub(
        self,
        repo_id: str,
        *,
        private: bool | None = None,
        token: str | None = None,
        commit_message: str | None = None,
        base_model: str | None = None,
    ) -> str:
        """Uploads the adapter and its card to a model repository on the hub, which is created if it does not exist.

        Args:
            repo_id: The repository's name, such as ``"my-org/my-adapter"``.
            private: Whether a new repository is private; None takes what the organisation has chosen.
            token: A token that may write; None takes the one that you are logged in with.
            commit_message: The message of the commit.
            base_model: The base model's name on the hub. Needed where the adapter was trained on a folder.

        Returns:
            The repository's address.

        Raises:
            ConfigError: The base model is a folder of this machine, which nobody else has.
            HubError: The name is not valid, you may not write there, or the hub can't be reached.
        """
        check_repo(repo_id)
        base = base_model or self.base_model
        if not hub_base(base) and not base.startswith("homeostat/"):
            raise ConfigError(
                f"the adapter's base model {base!r} is a folder of this machine; give its name on the hub as base_model"
            )
        with tempfile.TemporaryDirectory() as folder:
            self.save_pretrained(folder, base_model=base_model)
            message = commit_message or "Upload an adapter"
            return upload_folder(Path(folder), repo_id, private=private, token=token, commit_message=message)

    def _rename_base(self, folder: Path, name: str) -> None:
        """Writes another base model into the configuration and the card of a copy."""
        old, file, card = self.base_model, folder / _CONFIG, folder / "README.md"
        config = json.loads(file.read_text(encoding="utf-8"))
        file.write_text(json.dumps(config | {"base_model_name_or_path": name}, indent=2) + "\n", encoding="utf-8")
        if card.is_file():
            text = card.read_text(encoding="utf-8").replace(old, name)
            if "\nbase_model: " not in text:
                text = text.replace("---\n", f"---\nbase_model: {json.dumps(name)}\n", 1)
            card.write_text(text, encoding="utf-8")
