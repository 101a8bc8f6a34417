"""Packs several questions about one screen into one sequence, each masked from the others.

A row of a batch is a *prefix* (the system text and the screen's 144 image tokens) and *branches*, one per question. A
branch attends to the prefix and to itself, and its positions continue those of the prefix. So every branch is, token
for token, what the model sees when it is asked that one question alone, while the screen is computed once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import numpy as np
import torch
from numpy.typing import NDArray

from homeostat.nano.data.examples import Question, ScreenExample
from homeostat.nano.processor import place_token
from homeostat.nano.vocabulary import common_words
from homeostat.sensors.chat.messages import Prompt

__all__ = ["IGNORE", "KINDS", "Batch", "Packer"]

IGNORE = -100
"""The label of positions that carry no loss."""
KINDS = ("act", "where", "find", "what", "plan", "watch")
"""The kinds of questions, in the order of their indices in ``Batch.kinds``."""
_Token = tuple[int, int, int, int, int, int, int]  # the fields of a batch at one position


def _number(word: str) -> int:
    """A number that identifies a word; 0 for the empty word."""
    return crc32(word.encode()) if word else 0


@dataclass
class Batch:
    """R rows of length L with S screens of P patches each.

    A row usually has one screen. A row of planning questions has none.

    Attributes:
        input_ids: (R, L) int64 token ids.
        positions: (R, L) int64 positions.
        branch: (R, L) int64: 0 for the prefix, 1, 2, … for the branches, −1 for padding.
        labels: (R, L) int64: the next token if it belongs to an answer, else −100.
        kinds: (R, L) int64: the index of the question's kind in ``KINDS``.
        words: (R, L) int64: a number that is equal at two positions if the same word, up to and including the
            position's characters, is there (on a patch or in the text); 0 if there is no word.
        places: (R, L) int64: 1 + the patch's number, at the patch and at the token of its place; else 0.
        pixels: (S, 3, H, W) float32 in [−1, 1].
        patches: (S, P) int64: the token written on each patch, −100 if the patch carries no loss.
    """

    input_ids: torch.Tensor
    positions: torch.Tensor
    branch: torch.Tensor
    labels: torch.Tensor
    kinds: torch.Tensor
    words: torch.Tensor
    places: torch.Tensor
    pixels: torch.Tensor
    patches: torch.Tensor

    def to(self, device: torch.device) -> Batch:
        """Copies the batch to a device.

        Args:
            device: The device.

        Returns:
            The copy.
        """
        return Batch(**{k: v.to(device, non_blocking=True) for k, v in vars(self).items()})


class Packer:
    """Turns examples into batches with a model's own tokenizer and chat template.

    Args:
        processor: The model's processor.
        columns: Patches per row of the screen.
        rows: Rows of patches.
    """

    def __init__(self, processor: Any, columns: int = 9, rows: int = 16) -> None:
        self.tokenizer = processor.tokenizer
        self.image_token = "<image>"
        self.image_id = processor.tokenizer.convert_tokens_to_ids(self.image_token)
        self.columns, self.rows = columns, rows
        self._pad = self.tokenizer.pad_token_id
        self._vocabulary = self.tokenizer.get_vocab()
        self._chunks = {i: t for t, i in self._vocabulary.items() if len(t) <= 2 and any(c.isalnum() for c in t)}
        known = ((t, w) for w in common_words() for t in (w, f" {w}") if len(t) > 2 or t[0] == " ")
        # an older model's vocabulary has fewer common words
        self._whole = {self._vocabulary[t]: w for t, w in known if t in self._vocabulary}
        self._numbers = {token: 1 + i for i, token in enumerate(self.places())}

    def places(self) -> list[int]:
        """Returns the tokens of the patches' places.

        Returns:
            ``columns`` · ``rows`` token ids, in the patches' order (row by row).
        """
        cells = [(column, row) for row in range(self.rows) for column in range(self.columns)]
        return [self._vocabulary[place_token(*cell)] for cell in cells]

    def chat(self, prompt: Prompt) -> str:
        """Renders a prompt as text.

        Args:
            prompt: The prompt.

        Returns:
            The text, with the image token once for every image, up to the beginning of the answer.
        """
        messages = [
            {
                "role": m.role,
                "content": [
                    {"type": "text", "text": p.text} if p.image is None else {"type": "image"} for p in m.parts
                ],
            }
            for m in prompt.messages
        ]
        text: str = self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        return text

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def _words(self, tokens: Sequence[int]) -> list[int]:
        """For every token of a text, the number of its word from the word's start to this token, or 0."""
        word, numbers = "", []
        for token in tokens:
            if token in self._whole:
                word = self._whole[token]
            else:
                word = word + self._chunks[token] if token in self._chunks else ""
            numbers.append(_number(word))
        return numbers

    def _row(self, prefix: list[int], branches: Sequence[tuple[str, str, str]]) -> list[_Token]:
        row = [(t, i, 0, IGNORE, 0, 0, 0) for i, t in enumerate(prefix)]
        for n, (kind, asked, answer) in enumerate(branches, start=1):
            question, reply = self._ids(asked), self._ids(answer + "<|end|>")
            tokens = question + reply
            labels = [IGNORE] * (len(question) - 1) + reply + [IGNORE]
            k = KINDS.index(kind)
            columns = zip(tokens, labels, self._words(tokens), strict=True)
            row += [(t, len(prefix) + i, n, y, k, w, self._numbers.get(t, 0)) for i, (t, y, w) in enumerate(columns)]
        return row

    def screen(self, example: ScreenExample) -> list[_Token]:
        """Encodes a screen and its questions as one row.

        Args:
            example: The screen.

        Returns:
            The fields of a batch at each position.
        """
        return self.shown([example.patches], example.questions)

    def shown(
        self, shown: Sequence[Mapping[tuple[int, int], str] | None], questions: Sequence[Question]
    ) -> list[_Token]:
        """Encodes images that stand one after another, and questions about them, as one row.

        Args:
            shown: For each image, the words on its patches; None if they are unknown.
            questions: The questions. A prompt may show images once more behind its text.

        Returns:
            The fields of a batch at each position.
        """
        chats = [self.chat(q.prompt).split(self.image_token) for q in questions]
        image, n = self.image_token * (self.columns * self.rows), len(shown)
        prefix = self._ids(chats[0][0] + image * n)
        asked = (image.join(c[n:]) for c in chats)  # a prompt may show images once more
        branches = zip((q.kind for q in questions), asked, (q.answer for q in questions), strict=True)
        row = self._row(prefix, list(branches))
        first = len(prefix) - self.columns * self.rows * len(shown)
        for patches in shown:
            for patch in range(self.columns * self.rows):
                line, column = divmod(patch, self.columns)
                word = (patches or {}).get((column, line), "")
                row[first + patch] = (*row[first + patch][:-2], _number(word), 1 + patch)
            first += self.columns * self.rows
        return row

    def plans(self, questions: Sequence[Question]) -> list[_Token]:
        """Encodes questions that have no screen as one row.

        Args:
            questions: The questions.

        Returns:
            The fields of a batch at each position.
        """
        return self._row([], [(q.kind, self.chat(q.prompt), q.answer) for q in questions])

    def _written(self, patches: Mapping[tuple[int, int], str] | None) -> list[int]:
        """The token on each patch. Of the blank patches, about six have a space as their label."""
        targets = [IGNORE] * (self.columns * self.rows)
        if patches is None:
            return targets
        for (column, row), word in patches.items():
            characters = word[(len(word) - 1) // 2 * 2 :]
            targets[row * self.columns + column] = self._vocabulary.get(characters, IGNORE)
        blank = [i for i, t in enumerate(targets) if t == IGNORE]
        for i in blank[:: max(1, len(blank) // 6)]:
            targets[i] = self._vocabulary[" "]
        return targets

    def batches(self, examples: Sequence[ScreenExample], plans: Sequence[Question], size: int) -> list[Batch]:
        """Packs examples into batches of rows with similar lengths, which keeps padding small.

        Args:
            examples: The screens.
            plans: Planning questions. Four of them form one more row, which is added to a batch of long rows.
            size: Screens per batch.

        Returns:
            The batches, those with short rows first.
        """
        rows = sorted(((self.screen(e), e) for e in examples), key=lambda r: len(r[0]))
        groups = [rows[i : i + size] for i in range(0, len(rows), size)]
        extra = [self.plans(plans[i : i + 4]) for i in range(0, len(plans), 4)]
        return [
            self._batch(
                [r for r, _ in group] + extra[len(groups) - 1 - i : len(groups) - i],
                [e.screenshot for _, e in group],
                [e.patches for _, e in group],
            )
            for i, group in enumerate(groups)
        ]

    def _batch(
        self,
        rows: list[list[_Token]],
        screens: Sequence[NDArray[np.uint8]],
        patches: Sequence[Mapping[tuple[int, int], str] | None],
    ) -> Batch:
        length = -(-max(map(len, rows)) // 16) * 16
        table = np.empty((len(rows), length, 7), dtype=np.int64)
        table[:] = (self._pad, 0, -1, IGNORE, 0, 0, 0)
        for i, row in enumerate(rows):
            table[i, : len(row)] = row
        fields = [torch.from_numpy(np.ascontiguousarray(table[..., i])) for i in range(7)]
        pixels = np.stack(screens).astype(np.float32) / 127.5 - 1.0
        ids, positions, branch, labels, kinds, words, places = fields
        return Batch(
            ids,
            positions,
            branch,
            labels,
            kinds,
            words,
            places,
            pixels=torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous(),
            patches=torch.tensor([self._written(p) for p in patches]),
        )
