"""Shares preference pairs as a dataset on the Hugging Face hub: one Parquet file, with the images in it, and a card."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from homeostat.alignment.preference.pairs import Pair, to_dataset
from homeostat.hub import check_repo, upload_folder
from homeostat.model_cards import Card

__all__ = ["push_pairs"]

_FILE = "data/train-00000-of-00001.parquet"


def push_pairs(
    pairs: Sequence[Pair],
    repo_id: str,
    *,
    model: str = "",
    private: bool | None = True,
    token: str | None = None,
    commit_message: str | None = None,
) -> str:
    """Uploads pairs to a dataset repository, which is created if it does not exist.

    Args:
        pairs: The pairs.
        repo_id: The repository's name, such as ``"my-org/my-pairs"``.
        model: The model whose runs they come from.
        private: Whether a new repository is private. Recorded runs may hold what nobody else should read, so it is
            unless you say otherwise.
        token: A token that may write; None takes the one that you are logged in with.
        commit_message: The message of the commit.

    Returns:
        The repository's address.

    Raises:
        HubError: The name is not valid, you may not write there, or the hub can't be reached.
    """
    check_repo(repo_id)
    from datasets.utils.logging import disable_progress_bar

    disable_progress_bar()
    kinds = Counter(pair.kind for pair in pairs)
    card = Card(
        title=f"{len(pairs)} preference pairs",
        about="Answers of a model to the same prompt: one that failed, and one that passed. The rows have TRL's "
        "preference format.",
        load='from datasets import load_dataset\n\npairs = load_dataset("REPO", split="train")',
        made="`homeostat mine`, from recorded runs.",
        limits="The pairs come from the runs of one model; they hold what was on its screens and in its tools' "
        "results.",
        facts={"pairs": len(pairs), **{f"pairs of the kind {kind}": count for kind, count in sorted(kinds.items())}}
        | ({"model": model} if model else {}),
        tags=("preference", "dpo"),
        extra={"configs": [{"config_name": "default", "data_files": [{"split": "train", "path": _FILE}]}]},
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / _FILE).parent.mkdir()
        to_dataset(pairs).to_parquet(str(folder / _FILE))
        card.write(folder, repo_id)
        message = commit_message or f"Upload {len(pairs)} pairs"
        return upload_folder(folder, repo_id, repo_type="dataset", private=private, token=token, commit_message=message)
