"""A prompt that is coloured by attention: in a notebook, in a terminal, and as a page."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from homeostat.errors import ConfigError
from homeostat.plots.token_html import token_html
from homeostat.plots.token_page import token_page
from homeostat.plots.token_text import token_text

if TYPE_CHECKING:
    from rich.text import Text

__all__ = ["TokenView"]


@dataclass(frozen=True, eq=False)
class TokenView:
    """A prompt and the attention on each of its tokens.

    Notebooks show it by themselves, ``rich.print(view)`` colours it in a terminal, and :meth:`save` writes a page.

    Attributes:
        tokens: The texts of the prompt's n tokens.
        weights: (L, H, n) the mean weight of the answer's rows on each token, by layer and head.
        layers: The numbers of the L layers.
        spans: By label, ranges [start, stop) of tokens.
        answer: The answer's text; "" if it is unknown.
        chosen: (L, H) which heads the colours are the mean of; None for all.
    """

    tokens: tuple[str, ...]
    weights: NDArray[np.floating]
    layers: tuple[int, ...]
    spans: Mapping[str, Sequence[tuple[int, int]]] = field(default_factory=dict)
    answer: str = ""
    chosen: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        """Checks the shapes.

        Raises:
            ConfigError: The numbers of layers, tokens and weights differ, or a weight is no share.
        """
        if self.weights.ndim != 3 or self.weights.shape[::2] != (len(self.layers), len(self.tokens)):
            raise ConfigError(
                f"weights of shape {self.weights.shape} do not fit {len(self.layers)} layers and {len(self.tokens)} "
                "tokens; pass (layers, heads, tokens)"
            )
        if not _are_shares(self.weights):
            raise ConfigError("a weight is negative or no finite number; pass the shares that softmax gives")
        object.__setattr__(self, "_cell", [])

    @property
    def mean(self) -> NDArray[np.float64]:
        """(n,): the mean weight over the chosen heads."""
        weights = np.asarray(self.weights, np.float64)
        found: NDArray[np.float64] = weights.mean((0, 1)) if self.chosen is None else weights[self.chosen].mean(0)
        return found

    def of(
        self, layers: Iterable[int] | None = None, heads: Iterable[int | tuple[int, int]] | None = None
    ) -> TokenView:
        """Chooses layers and heads.

        Args:
            layers: The layers, such as ``range(8, 12)``; None for all.
            heads: Numbers of heads, which count in every chosen layer, or (layer, head) pairs; None for all.

        Returns:
            The same prompt, coloured by these heads only.

        Raises:
            ConfigError: A layer or a head was not read, or nothing is chosen.
        """
        count = self.weights.shape[1]
        rows = {layer: row for row, layer in enumerate(self.layers)}
        wanted = list(self.layers if layers is None else layers)
        chosen = np.zeros((len(self.layers), count), bool)
        for layer in wanted:
            if layer not in rows:
                raise ConfigError(f"layer {layer!r} was not read; read were {self.layers[0]} to {self.layers[-1]}")
        for head in range(count) if heads is None else heads:
            pairs = [(layer, head) for layer in wanted] if not isinstance(head, tuple) else [head]
            for layer, number in pairs:
                if layer not in rows or not isinstance(number, int) or not 0 <= number < count:
                    raise ConfigError(
                        f"head {head!r} was not read; give numbers from 0 to {count - 1}, or (layer, head) pairs"
                    )
                chosen[rows[layer], number] |= layer in wanted
        if not chosen.any():
            raise ConfigError("no head is chosen; give at least one layer and one head")
        return replace(self, chosen=chosen)

    def save(self, path: str | os.PathLike[str], title: str = "Attention on the prompt") -> Path:
        """Writes a page that needs no network. In it, the reader chooses a range of layers, or a head.

        Args:
            path: The file. Missing folders are created.
            title: The page's title.

        Returns:
            The file.

        Raises:
            ConfigError: The file can't be written.
        """
        file, weights, layers = Path(path), np.asarray(self.weights, np.float64), self.layers
        if self.chosen is not None:
            rows, heads = (np.flatnonzero(self.chosen.any(axis)) for axis in (1, 0))
            weights = np.where(self.chosen[..., None], weights, np.nan)[rows][:, heads]
            layers = tuple(layers[row] for row in rows)
        page = token_page(
            self.tokens,
            weights,
            layers,
            self.spans,
            title=title,
            answer=self.answer,
            heads=None if self.chosen is None else [int(h) for h in np.flatnonzero(self.chosen.any(0))],
        )
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(page, encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"can't write {str(file)!r}: {error.strerror}; give another file") from None
        return file

    def show(self) -> None:
        """Shows the prompt now: as a cell's output in a notebook, else on the terminal."""
        shell = _notebook()
        if shell is not None:
            from IPython.display import HTML, display

            display(HTML(self._repr_html_()))  # type: ignore[no-untyped-call]
            self.__dict__["_cell"][:] = [shell.execution_count]
            return
        from rich.console import Console

        Console(highlight=False).print(self.__rich__(), soft_wrap=True)

    def __rich__(self) -> Text:
        """The coloured text that rich prints."""
        return token_text(self.tokens, self.mean, self.spans)

    def __str__(self) -> str:
        """The text without colours."""
        return str(self.__rich__())

    def __repr__(self) -> str:
        """The sizes."""
        return f"TokenView({len(self.tokens)} tokens, {len(self.layers)} layers, {self.weights.shape[1]} heads)"

    def _repr_html_(self) -> str:
        """The coloured text that notebooks show."""
        return token_html(self.tokens, self.mean, self.spans)

    def _ipython_display_(self) -> None:
        """Shows the view, but not twice where the cell that called :meth:`show` also ends in the view."""
        shell, cell = _notebook(), self.__dict__["_cell"]
        if shell is not None and cell == [shell.execution_count]:
            cell.clear()
            return
        if shell is None:
            print(repr(self))
            return
        from IPython.display import HTML, display

        display(HTML(self._repr_html_()))  # type: ignore[no-untyped-call]


def _notebook() -> Any:
    """IPython's shell if a notebook's kernel runs this process, else None."""
    module = sys.modules.get("IPython")
    shell = module.get_ipython() if module is not None else None
    return shell if hasattr(shell, "kernel") else None


def _are_shares(weights: NDArray[Any]) -> bool:
    """Whether all weights are finite numbers that are not negative."""
    return weights.dtype.kind in "fiu" and bool(np.isfinite(weights).all() and (weights >= 0).all())
