"""Label caches shared by many requests: which block holds whose labels, and which column stands for which label.

Requests whose prompts begin alike share blocks of the paged cache. If both label the shared tokens alike, they share
the blocks' labels, too. If not, the later request gets another *plane*, which is a label cache of its own. A plane has
as many columns as a head has channels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

__all__ = ["Plane", "Planes"]

PLANES = 8
"""The most planes; each takes as much memory as one layer's key-value cache."""


class Plane:
    """One label cache.

    Attributes:
        labels: The cache, in the shape of a layer's key-value cache.
        vectors: (D + 1, G, D): the vector of every column; the first one, of tokens without a label, is zero.
    """

    def __init__(self, labels: Tensor, heads: int, size: int) -> None:
        """Begins empty.

        Args:
            labels: The cache.
            heads: The number G of key/value heads.
            size: The head size D.
        """
        self.labels = labels
        self.vectors = torch.cat([torch.zeros(1, size), torch.eye(size)]).to(labels.device, labels.dtype)
        self.vectors = self.vectors[:, None].expand(-1, heads, -1).contiguous()
        self._free = list(range(size, 0, -1))
        self._columns: dict[str, list[int]] = {}
        self._owners: dict[int, tuple[bytes, int]] = {}

    @property
    def width(self) -> int:
        """One more than the highest column in use."""
        return max((column for column, _ in self._columns.values()), default=0) + 1

    def fits(self, labels: Sequence[str]) -> bool:
        """Tells whether there are columns for all labels.

        Args:
            labels: The labels.

        Returns:
            Whether there are.
        """
        return sum(label not in self._columns for label in labels) <= len(self._free)

    def take(self, labels: Sequence[str]) -> list[int]:
        """Takes a column for each label: a request that has one shares it.

        Args:
            labels: The labels.

        Returns:
            The columns, counted from 1.
        """
        for label in labels:
            if label not in self._columns:
                self._columns[label] = [self._free.pop(), 0]
            self._columns[label][1] += 1
        return [self._columns[label][0] for label in labels]

    def give_back(self, labels: Sequence[str]) -> None:
        """Gives the columns of a request back.

        Args:
            labels: The labels that it had taken columns for.
        """
        for label in labels:
            self._columns[label][1] -= 1
            if not self._columns[label][1]:
                self._free.append(self._columns.pop(label)[0])
                self._free.sort(reverse=True)

    def clashes(self, blocks: Iterable[tuple[int, bytes]]) -> bool:
        """Tells whether an open request labels one of the full blocks in another way.

        Args:
            blocks: Blocks, and what names the labels of their tokens.

        Returns:
            Whether it does.
        """
        return any(block in self._owners and self._owners[block][0] != told for block, told in blocks)

    def own(self, block: int, told: bytes) -> None:
        """Notes that an open request labels a full block.

        Args:
            block: The block.
            told: What names the labels of its tokens.
        """
        known, count = self._owners.get(block, (told, 0))
        self._owners[block] = known, count + 1

    def disown(self, blocks: Iterable[int]) -> None:
        """Notes that a request has ended.

        Args:
            blocks: The full blocks that it had.
        """
        for block in blocks:
            told, count = self._owners.pop(block)
            if count > 1:
                self._owners[block] = told, count - 1


class Planes:
    """The planes of all layers whose caches have one shape."""

    def __init__(self, make: Callable[[], Tensor], heads: int, size: int) -> None:
        """Begins without a plane.

        Args:
            make: A function that makes an empty label cache.
            heads: The number G of key/value heads.
            size: The head size D.
        """
        self._make, self._heads, self._size = make, heads, size
        self.planes: list[Plane] = []

    def choose(self, labels: Sequence[str], blocks: Sequence[tuple[int, bytes]]) -> Plane:
        """Finds a plane for a request.

        Args:
            labels: The request's labels.
            blocks: Its full blocks so far, and what names the labels of their tokens.

        Returns:
            The first plane that has columns left and no other labels on these blocks.

        Raises:
            ValueError: There is none, and no further plane is allowed.
        """
        if len(labels) > self._size:
            raise ValueError(f"{len(labels)} labels are more than a head's {self._size} channels; use fewer labels")
        for plane in self.planes:
            if plane.fits(labels) and not plane.clashes(blocks):
                return plane
        if len(self.planes) == PLANES:
            raise ValueError(
                f"{PLANES} open requests label the same cached tokens in different ways; wait for some of them to end"
            )
        self.planes.append(Plane(self._make(), self._heads, self._size))
        return self.planes[-1]

    @property
    def bytes(self) -> int:
        """The memory of all planes."""
        return sum(plane.labels.nbytes for plane in self.planes)
