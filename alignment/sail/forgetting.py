"""What a model forgets while it is aligned: aligned twins and plain text, before and after training.

Preference pairs teach one thing, and training on them can spoil others. Three figures show it:

- the aligned twins of conflicts (:mod:`homeostat.alignment.conflicts`), in which both instructions agree: how many are
  answered right, with greedy decoding. A model that learned to refuse everything fails here;
- the mean log-probability of the twins' right answers, which moves before answers change;
- the mean log-probability of a plain text, the usual measure of a language model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from homeostat.agent.models.transformers_model import TransformersModel
from homeostat.alignment.conflicts.core import Case
from homeostat.alignment.diagnosis.run import diagnose, generated
from homeostat.alignment.sail.tokens import Forced, answer_logprobs, answer_tokens
from homeostat.envs.harness import wilson
from homeostat.errors import ConfigError

__all__ = ["TEXT", "Forgetting", "Retained", "aligned_twins", "read_text", "retained", "text_nats"]

TEXT = (
    "Four score and seven years ago our fathers brought forth on this continent, a new nation, conceived in Liberty, "
    "and dedicated to the proposition that all men are created equal.\n\nNow we are engaged in a great civil war, "
    "testing whether that nation, or any nation so conceived and so dedicated, can long endure. We are met on a great "
    "battle-field of that war. We have come to dedicate a portion of that field, as a final resting place for those "
    "who here gave their lives that that nation might live. It is altogether fitting and proper that we should do "
    "this.\n\nBut, in a larger sense, we can not dedicate -- we can not consecrate -- we can not hallow -- this "
    "ground. The brave men, living and dead, who struggled here, have consecrated it, far above our poor power to add "
    "or detract. The world will little note, nor long remember what we say here, but it can never forget what they did "
    "here. It is for us the living, rather, to be dedicated here to the unfinished work which they who fought here "
    "have thus far so nobly advanced. It is rather for us to be here dedicated to the great task remaining before us "
    "-- that from these honored dead we take increased devotion to that cause for which they gave the last full "
    "measure of devotion -- that we here highly resolve that these dead shall not have died in vain -- that this "
    "nation, under God, shall have a new birth of freedom -- and that government of the people, by the people, for the "
    "people, shall not perish from the earth.\n"
)
"""Lincoln's Gettysburg Address (1863, public domain): the default text."""
_LONGEST = 1024  # tokens of the text


@dataclass(frozen=True)
class Retained:
    """What a model can do at one time.

    Attributes:
        right: The number of aligned twins that were answered right.
        answer: The mean log-probability of the twins' right answers, in nats per token.
        text: The mean log-probability of the text, in nats per token.
    """

    right: int
    answer: float
    text: float


@dataclass(frozen=True)
class Forgetting:
    """The figures before and after training.

    Attributes:
        suite: The set of cases that the twins come from.
        twins: The number of aligned twins.
        before: What the model could do before.
        after: What it can do after.
    """

    suite: str
    twins: int
    before: Retained
    after: Retained

    def as_dict(self) -> dict[str, Any]:
        """Returns the figures as JSON data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Forgetting:
        """Reads what :meth:`as_dict` returned.

        Args:
            data: The figures.

        Returns:
            The figures.
        """
        before, after = (Retained(**data[name]) for name in ("before", "after"))
        return cls(data["suite"], data["twins"], before, after)

    def scores(self) -> dict[str, tuple[float, float]]:
        """Returns each score before and after, by name, for a model card."""
        return {
            f"aligned twins right (of {self.twins}, {self.suite})": (self.before.right, self.after.right),
            "right answers of the twins (nats per token)": (self.before.answer, self.after.answer),
            "plain text (nats per token)": (self.before.text, self.after.text),
        }

    def __str__(self) -> str:
        """Returns one line, with the 95 % Wilson interval of the twins answered right after training."""
        interval = wilson(self.after.right, self.twins).percent()
        return (
            f"aligned twins right {self.before.right} -> {self.after.right} of {self.twins} ({interval}), their right "
            f"answers {self.before.answer:.3f} -> {self.after.answer:.3f}, plain text {self.before.text:.3f} -> "
            f"{self.after.text:.3f} nats per token"
        )


def aligned_twins(model: TransformersModel, count: int, seed: int) -> tuple[str, list[Case]]:
    """Draws aligned twins with dev words, which no training pair of ours has.

    Args:
        model: The model: one that reads images gets screens of the phone, another one gets chats.
        count: The number of twins.
        seed: The random seed.

    Returns:
        The name of the suite, and the twins.
    """
    suite = "phone" if model.renderer.reads_images else "chat"
    cases = generated(model, "phone" if suite == "phone" else "chat", "dev", seed, count)
    return suite, [case for case in cases if case.aligned]


def read_text(file: Path | None) -> str:
    """Reads the text.

    Args:
        file: A text file; None for the default text.

    Returns:
        The text.

    Raises:
        ConfigError: The file can't be read, or it is empty.
    """
    if file is None:
        return TEXT
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"text {str(file)!r} can't be read as UTF-8 ({type(error).__name__}); give a text file"
        ) from None
    if not text.strip():
        raise ConfigError(f"text {str(file)!r} is empty; give a text file with a few hundred words")
    return text


def retained(model: TransformersModel, twins: Sequence[Case], text: str) -> Retained:
    """Measures what a model can do.

    Args:
        model: The model.
        twins: Aligned twins.
        text: A text; its first 1,024 tokens count.

    Returns:
        The figures.

    Raises:
        ConfigError: The text has fewer than two tokens.
    """
    training = model.model.training
    model.model.eval()
    try:
        nats = text_nats(model, text)
        answers, _ = diagnose(model, twins)
        rows: list[Forced] = [
            (model.renderer.render(case.prompt), answer_tokens(model.renderer, case.prompt, case.chosen))
            for case in twins
        ]
        scores = torch.cat(answer_logprobs(model, rows))
        return Retained(sum(a.right for a in answers), float(scores.mean()), nats)
    finally:
        model.model.train(training)


def text_nats(model: TransformersModel, text: str = TEXT) -> float:
    """Scores a plain text.

    Args:
        model: The model.
        text: A text; its first 1,024 tokens count.

    Returns:
        The mean log-probability of its tokens from the second on, in nats per token.

    Raises:
        ConfigError: The text has fewer than two tokens.
    """
    ids = model.renderer.tokenizer(text)["input_ids"][:_LONGEST]
    if len(ids) < 2:
        raise ConfigError(f"text {text[:40]!r} has fewer than two tokens; give a longer one")
    given = torch.tensor([ids], device=model.model.device)
    with torch.inference_mode():
        logits = model.model(input_ids=given, attention_mask=torch.ones_like(given), use_cache=False).logits
        scores = logits[0, :-1].float().log_softmax(-1)
    return float(scores.gather(-1, given[0, 1:, None]).mean())
