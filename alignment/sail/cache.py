"""A bounded cache of tensors on disk."""

from __future__ import annotations

import os
from pathlib import Path

import torch

__all__ = ["StateCache"]


class StateCache:
    """Tensors on disk, by name. Runs can share a folder, because a name is a hash of what the tensors depend on.

    Attributes:
        folder: The folder.
        limit: The largest total size in bytes.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        """Opens or creates the cache.

        Args:
            folder: The folder.
            limit: The largest total size in bytes. Files that are there already count.
        """
        self.folder, self.limit = folder, limit
        folder.mkdir(parents=True, exist_ok=True)
        self._used = sum(f.stat().st_size for f in folder.glob("*.safetensors"))

    def get(self, name: str) -> dict[str, torch.Tensor] | None:
        """Loads what is stored under a name.

        Args:
            name: The name.

        Returns:
            The tensors; None if nothing is stored, or if the file is damaged, which is then removed.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        file = self.folder / f"{name}.safetensors"
        try:
            return load_file(file) if file.is_file() else None
        except (SafetensorError, OSError):
            file.unlink(missing_ok=True)
            return None

    def has(self, name: str) -> bool:
        """Checks whether something is stored under a name.

        Args:
            name: The name.

        Returns:
            Whether a file exists.
        """
        return (self.folder / f"{name}.safetensors").is_file()

    def put(self, name: str, tensors: dict[str, torch.Tensor]) -> bool:
        """Stores tensors under a name, atomically.

        Args:
            name: The name.
            tensors: The tensors.

        Returns:
            False if the cache is full; nothing is stored then.
        """
        from safetensors.torch import save_file

        size = sum(t.numel() * t.element_size() for t in tensors.values())
        if self._used + size > self.limit:
            return False
        part = self.folder / f"{name}.{os.getpid()}.part"
        save_file({k: v.contiguous() for k, v in tensors.items()}, part)
        os.replace(part, self.folder / f"{name}.safetensors")
        self._used += size
        return True
