"""Shares what is learned for a model, through folders and the Hugging Face hub.

Calibrations, head profiles, localizations and learned probes are records of one JSON file each. :class:`HubRecord`
gives them the methods that the field knows::

    calibration.save_pretrained("my-thresholds")              # a folder: the file and a card
    calibration.push_to_hub("my-org/my-thresholds")
    Calibration.from_pretrained("my-org/my-thresholds")       # a name on the hub, a folder or a file

Adapters are folders; :class:`homeostat.alignment.Adapter` uses the functions of this module. Only JSON and safetensors
are read, so that loading never unpickles. Every failure is one line. The module is on the lowest floor: everything may
use it, and huggingface_hub is imported only when something is up- or downloaded.
"""

from __future__ import annotations

import os
import tempfile
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import BaseModel

from homeostat.data_files import FORMAT, StrPath, read_record
from homeostat.errors import ConfigError, HubError
from homeostat.foreign_text import quoted
from homeostat.hub_failures import hub_failures
from homeostat.model_cards import HUB_NAME, Card, is_hub_name, is_own_card

__all__ = ["HubRecord", "check_repo", "download_folder", "located", "upload_folder"]

_SECONDS = 5.0  # until the hub has to answer
_CARD = "README.md"


class HubRecord(BaseModel):
    """A record that is one JSON file, and is shared as a folder with that file and a card.

    Attributes:
        file_name: The name of the file in a folder.
        what: What the record is, for error messages.
        remedy: What to do about a bad file, for error messages.
    """

    file_name: ClassVar[str]
    what: ClassVar[str]
    remedy: ClassVar[str]

    @abstractmethod
    def card(self) -> Card:
        """Describes the record for people.

        Returns:
            What its card tells.
        """

    def save(self, file: StrPath) -> None:
        """Writes the record as JSON.

        Args:
            file: The file; its folder is created.

        Raises:
            ConfigError: The file can't be written.
        """
        path = Path(file)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            raise ConfigError(
                f"can't write the {self.what} {str(path)!r}: {error.strerror}; choose another file"
            ) from None

    @classmethod
    def load(cls, file: StrPath) -> Self:
        """Reads a record.

        Args:
            file: The JSON file, or a folder that holds it under its own name (``file_name``).

        Returns:
            The record.

        Raises:
            ConfigError: The file can't be read, is of a newer version, or holds something else; the error names the
                file and the fault.
        """
        path = Path(file)
        return read_record(cls, path / cls.file_name if path.is_dir() else path, cls.what, cls.remedy)

    def save_pretrained(self, folder: StrPath, *, repo: str = "ORG/NAME") -> None:
        """Writes a folder: the record and its card, ``README.md``. A card of somebody else's stays as it is.

        Args:
            folder: The folder; it is created.
            repo: The name on the hub that the card shows.

        Raises:
            ConfigError: The folder can't be written.
        """
        where = Path(folder)
        fields = self.model_dump_json(indent=1).removeprefix("{\n")
        try:
            where.mkdir(parents=True, exist_ok=True)
            (where / self.file_name).write_text(f'{{\n "format": {FORMAT},\n{fields}\n', encoding="utf-8")
            self.card().write(where, repo)
        except OSError as error:
            raise ConfigError(
                f"can't write the folder {str(where)!r}: {error.strerror}; choose another folder"
            ) from None

    @classmethod
    def from_pretrained(cls, name: StrPath, *, revision: str | None = None, token: str | None = None) -> Self:
        """Reads a record from a folder, a file or the hub.

        Args:
            name: A folder, a JSON file, or a name on the hub such as ``"my-org/my-thresholds"``.
            revision: The version on the hub: a branch, a tag or a commit. None takes the newest.
            token: The token for the hub; None takes the one that you are logged in with.

        Returns:
            The record.

        Raises:
            ConfigError: There is no such file, it is of a newer version, or it holds something else.
            HubError: The hub has nothing of this name, or can't be reached.
        """
        return cls.load(located(name, cls.file_name, cls.what, cls.remedy, revision=revision, token=token))

    def push_to_hub(
        self,
        repo_id: str,
        *,
        private: bool | None = None,
        token: str | None = None,
        commit_message: str | None = None,
    ) -> str:
        """Uploads the record and its card to a model repository on the hub, which is created if it does not exist.

        A card of somebody else's, such as that of the model itself, stays as it is.

        Args:
            repo_id: The repository's name, such as ``"my-org/my-thresholds"``.
            private: Whether a new repository is private. None takes what the organisation has chosen; by default that
                is a public one.
            token: A token that may write; None takes the one that you are logged in with.
            commit_message: The message of the commit.

        Returns:
            The repository's address.

        Raises:
            HubError: The name is not valid, you may not write there, or the hub can't be reached.
        """
        check_repo(repo_id)
        with tempfile.TemporaryDirectory() as folder:
            self.save_pretrained(folder, repo=repo_id)
            message = commit_message or f"Upload a {self.what}"
            return upload_folder(Path(folder), repo_id, private=private, token=token, commit_message=message)


def check_repo(repo_id: str) -> None:
    """Checks a repository's name before anything slow happens.

    Args:
        repo_id: The name.

    Raises:
        HubError: It can't be a name on the hub.
    """
    if HUB_NAME.fullmatch(repo_id) is None or ".." in repo_id or "--" in repo_id:
        raise HubError(f"{quoted(repo_id)} can't be a name on the hub; write ORG/NAME, such as my-org/my-thresholds")


def located(
    name: StrPath,
    file_name: str,
    what: str,
    remedy: str = "",
    *,
    revision: str | None = None,
    token: str | None = None,
) -> Path:
    """Finds a file by a path or by a name on the hub, from which it is downloaded.

    Args:
        name: A file, a folder that holds the file, or a name on the hub.
        file_name: The file's name in a folder and on the hub.
        what: What the file is, for error messages.
        remedy: How such a file is made, for error messages.
        revision: The version on the hub; None takes the newest.
        token: The token for the hub.

    Returns:
        The file.

    Raises:
        ConfigError: There is no such file.
        HubError: The hub has nothing of this name, or can't be reached.
    """
    text = os.fspath(name)
    path = Path(text).expanduser()
    try:
        here, near = path.exists(), path.parent.is_dir() and path.parent != Path(".")
    except (OSError, ValueError):  # a name that the file system refuses to look up
        raise ConfigError(f"no {what} {quoted(text)}; give a file, a folder, or a name on the hub") from None
    if here:
        if revision is not None:
            raise ConfigError(f"revision {revision!r} is a version on the hub, but {text!r} is here; leave it out")
        if path.is_dir() and not (path / file_name).is_file():
            raise ConfigError(f"folder {text!r} holds no {file_name}; give the folder of a {what}")
        return path / file_name if path.is_dir() else path
    if near or not is_hub_name(text):
        raise ConfigError(
            f"no {what} {quoted(text)}: No such file or directory; give a file, a folder, or a name on the hub like "
            f"'org/name'{f', or {remedy}' if remedy else ''}"
        )
    with hub_failures(text, what, revision):
        from huggingface_hub import HfApi

        return Path(HfApi(token=token).hf_hub_download(text, file_name, revision=revision, etag_timeout=_SECONDS))


def download_folder(
    repo_id: str, what: str, patterns: Sequence[str], *, revision: str | None = None, token: str | None = None
) -> Path:
    """Downloads files of a model repository.

    Args:
        repo_id: The repository's name.
        what: What it holds, for error messages.
        patterns: Which files, such as ``"*.json"``.
        revision: The version; None takes the newest.
        token: The token for the hub.

    Returns:
        The folder in the local cache.

    Raises:
        HubError: The hub has nothing of this name, or can't be reached.
    """
    with hub_failures(repo_id, what, revision):
        from huggingface_hub import HfApi

        return Path(
            HfApi(token=token).snapshot_download(
                repo_id, revision=revision, allow_patterns=list(patterns), etag_timeout=_SECONDS
            )
        )


def upload_folder(
    folder: Path,
    repo_id: str,
    *,
    repo_type: Literal["model", "dataset"] = "model",
    private: bool | None = None,
    token: str | None = None,
    commit_message: str | None = None,
    patterns: Sequence[str] | None = None,
) -> str:
    """Uploads a folder to a repository, which is created if it does not exist. Somebody else's card there stays.

    Args:
        folder: The folder.
        repo_id: The repository's name.
        repo_type: What the repository is.
        private: Whether a new repository is private; None takes the organisation's choice.
        token: A token that may write; None takes the one that you are logged in with.
        commit_message: The message of the commit.
        patterns: Which files; None for all.

    Returns:
        The repository's address.

    Raises:
        HubError: The name is not valid, you may not write there, or the hub can't be reached.
    """
    check_repo(repo_id)
    with hub_failures(repo_id, repo_type, None):
        from huggingface_hub import HfApi

        api = HfApi(token=token)
        made = api.create_repo(repo_id, private=private, repo_type=repo_type, exist_ok=True)
        foreign = api.file_exists(repo_id, _CARD, repo_type=repo_type) and not is_own_card(
            Path(api.hf_hub_download(repo_id, _CARD, repo_type=repo_type)).read_text("utf-8", errors="replace")
        )
        api.upload_folder(
            repo_id=repo_id,
            folder_path=folder,
            repo_type=repo_type,
            commit_message=commit_message,
            allow_patterns=None if patterns is None else list(patterns),
            ignore_patterns=[_CARD] if foreign else None,
        )
    return str(made)
