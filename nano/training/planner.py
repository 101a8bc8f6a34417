"""Train the embedded planner: long goals to typed plans.

    homeostat clone --env plans --out checkpoints/planner --minutes 40

It is nano's own language model without eyes, fine-tuned on goals and their plans alone (``alignment.plan_corpus``),
with a few pieces of a plan's JSON as tokens of their own. Held-out figures are the share of plans that are right to the
letter: ``words``, with words of the dev vocabulary; ``templates``, with dev templates among the parts, whose sentences
it never saw; ``scenes``, of patterns written by hand that are held out.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import typer
from torch.nn import functional as F
from torch.utils.data import DataLoader, IterableDataset

from homeostat.agent.models.precision import autocast, bfloat16_is_quick
from homeostat.agent.prompts import plan_prompt
from homeostat.envs.phone.tasks.rules import RULES
from homeostat.envs.phone.tasks.splits import templates_of
from homeostat.nano.model import STYLE
from homeostat.nano.plans.corpus import added_words, planning_examples
from homeostat.nano.training.fine_tuning import load_embedded
from homeostat.nano.training.recipe import optimisers_for
from homeostat.sensors.chat.rendering import Renderer

__all__ = ["PLANNER_STYLE", "build_planner", "train_planner"]

PLANNER_STYLE = STYLE.model_copy(update={"typed_plans": True, "planner": ""})
_OPENS = ('"', '{"compute": "', '{"instruction": "', '{"say": "')
_CLOSES = ('"', '"]}', '"}')
_PIECES = (
    *(f"{close}, {begin}" for close in _CLOSES for begin in _OPENS),
    *(f'{{"parts": [{begin}' for begin in _OPENS),
    *(f"{close}]}}" for close in _CLOSES),
    *('", "of": ["', '", "when": "', '", "when": "not ', "{4}", "{5}", "{6}", "{7}", "{8}", "{9}"),
)
_POOL = 16  # batches whose examples are sorted by length together
_WARM, _KEEP = 50, 1000


def build_planner(start: str) -> tuple[Any, Any]:
    """(model, tokenizer): the language model of an embedded model, its vocabulary widened; or a planner, to go on with.

    Raises ``ConfigError``.
    """
    from transformers import Qwen3Config, Qwen3ForCausalLM

    model, processor = load_embedded(start)
    tokenizer = getattr(processor, "tokenizer", processor)
    if _PIECES[1] in tokenizer.get_vocab():
        return model, tokenizer
    tokenizer.add_tokens(list(_PIECES))
    text = model.config.get_text_config()
    config = Qwen3Config(**{k: v for k, v in text.to_dict().items() if k not in ("model_type", "architectures")})
    planner = Qwen3ForCausalLM(config)
    planner.model.load_state_dict(model.model.language_model.state_dict())
    planner.resize_token_embeddings(len(tokenizer), pad_to_multiple_of=64)
    planner.tie_weights()
    planner.generation_config.eos_token_id = tokenizer.eos_token_id
    planner.generation_config.pad_token_id = tokenizer.pad_token_id
    return planner.train(), tokenizer


@dataclass
class PlanBatch:
    """(B, L) int64 each: tokens, and the next token where it is part of a plan, else -100. Padded on the right."""

    ids: torch.Tensor
    labels: torch.Tensor


class _Encoder:
    """A goal and its plan as the tokens that the agent's own prompt has."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer, self.renderer = tokenizer, Renderer(tokenizer)
        self.pad = tokenizer.pad_token_id

    def __call__(self, goal: str, rules: Sequence[str], plan: str) -> tuple[list[int], list[int]]:
        asked = list(self.renderer.render(plan_prompt(PLANNER_STYLE, goal=goal, rules=rules)).ids)
        reply: list[int] = self.tokenizer(plan + "<|end|>", add_special_tokens=False)["input_ids"]
        return asked, reply

    def batch(self, rows: Sequence[tuple[list[int], list[int]]]) -> PlanBatch:
        """One batch of encoded examples."""
        length = -(-max(len(a) + len(r) for a, r in rows) // 8) * 8
        ids = torch.full((len(rows), length), self.pad)
        labels = torch.full((len(rows), length), -100)
        for i, (asked, reply) in enumerate(rows):
            ids[i, : len(asked) + len(reply)] = torch.tensor(asked + reply)
            labels[i, len(asked) - 1 : len(asked) + len(reply) - 1] = torch.tensor(reply)
        return PlanBatch(ids, labels)


class _Batches(IterableDataset[PlanBatch]):
    """Batches without end, of like lengths each."""

    def __init__(self, encoder: _Encoder, seed: int, size: int) -> None:
        self.encoder, self.seed, self.size = encoder, seed, size

    def __iter__(self) -> Iterator[PlanBatch]:
        torch.set_num_threads(1)
        rng = random.Random(f"plans {self.seed}")
        examples = planning_examples(rng)
        while True:
            rows = []
            for _ in range(_POOL * self.size):
                goal, plan = next(examples)
                rules = (rng.choice(RULES).text,) if rng.random() < 0.1 else ()
                rows.append(self.encoder(goal, rules, plan))
            rows.sort(key=lambda row: len(row[0]) + len(row[1]))
            groups = [rows[i : i + self.size] for i in range(0, len(rows), self.size)]
            yield from map(self.encoder.batch, rng.sample(groups, len(groups)))


def right_plans(model: Any, encoder: _Encoder, examples: Sequence[tuple[str, str]]) -> float:
    """The share of plans that greedy decoding writes to the letter (teacher-forced: all tokens the likeliest)."""
    right = 0
    device = next(model.parameters()).device
    for first in range(0, len(examples), 32):
        batch = encoder.batch([encoder(goal, (), plan) for goal, plan in examples[first : first + 32]])
        with torch.no_grad(), autocast(device):
            guess = model(input_ids=batch.ids.to(device)).logits.argmax(-1).cpu()
        right += int(((guess == batch.labels) | (batch.labels == -100)).all(-1).sum())
    return right / len(examples)


def save_planner(out: Path, model: Any, tokenizer: Any, words: tuple[str, ...]) -> None:
    """Write the folder: weights in bfloat16, the tokenizer, and the prompts' wording with the planner's own words."""
    out.mkdir(parents=True, exist_ok=True)
    half = {k: v.detach().to(torch.bfloat16).cpu() for k, v in model.state_dict().items() if k != "lm_head.weight"}
    model.config.dtype = torch.bfloat16
    model.save_pretrained(out, state_dict=half)
    tokenizer.save_pretrained(out)
    (out / "homeostat.json").write_text(
        json.dumps(PLANNER_STYLE.model_copy(update={"planner_words": words}).model_dump(), indent=1) + "\n"
    )


def train_planner(
    start: str,
    out: Path,
    *,
    minutes: float,
    seed: int = 0,
    rate: float = 1e-3,
    size: int = 48,
    max_steps: int | None = None,
    workers: int = 1,
) -> dict[str, float]:
    """Fine-tune the language model of ``start`` on plans for ``minutes`` and write the folder ``out``.

    ``size``: plans a batch. Returns the held-out shares (see the module's text) and the loss over the first and last
    ten steps. Raises ``ConfigError``.
    """
    torch.manual_seed(seed)
    model, tokenizer = build_planner(start)
    encoder, device = _Encoder(tokenizer), next(model.parameters()).device
    many = 256 if max_steps is None else 16
    dev = templates_of("train") | templates_of("dev")
    words = added_words() if max_steps is None else added_words(500, 2)
    same, new = planning_examples(random.Random("dev"), "dev"), planning_examples(random.Random("new"), "dev", dev)
    unseen = planning_examples(random.Random("scenes"), "dev", scenes="dev")
    sources = {"words": same, "templates": new, "scenes": unseen}
    held = {name: [next(source) for _ in range(many)] for name, source in sources.items()}
    optimisers = optimisers_for(model, rate)
    if max_steps is None and bfloat16_is_quick(device.type):
        for layer in model.model.layers:
            layer.compile(dynamic=True)
    data = _Batches(encoder, seed, size)
    source = iter(DataLoader(data, batch_size=None, num_workers=workers, prefetch_factor=8 if workers else None))
    out.mkdir(parents=True, exist_ok=True)
    begun, step, history = time.monotonic(), 0, list[float]()
    while True:
        progress = (time.monotonic() - begun) / (60 * minutes)
        if progress >= 1 or (max_steps is not None and step >= max_steps):
            break
        batch = next(source)
        for optimiser, peak in zip(optimisers, (2 * rate, rate), strict=True):
            for group in optimiser.param_groups:
                group["lr"] = peak * min(1.0, (step + 1) / _WARM, 2 * (1 - progress))
        labels = batch.labels.to(device)
        with autocast(device):
            hidden = model.model(input_ids=batch.ids.to(device), use_cache=False).last_hidden_state
            logits = model.lm_head(hidden[labels != -100])
        loss = F.cross_entropy(logits.float(), labels[labels != -100])
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimiser in optimisers:
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        history.append(loss.item())
        step += 1
        if step % _KEEP == 0:
            save_planner(out, model, tokenizer, words)
        if step % 250 == 0:
            figures = {name: right_plans(model, encoder, examples[:128]) for name, examples in held.items()}
            _tell(out, step, begun, {"loss": sum(history[-100:]) / 100} | figures)
    model.eval()
    figures = {name: right_plans(model, encoder, examples) for name, examples in held.items()}
    ends = {"loss_first": sum(history[:10]) / 10, "loss_last": sum(history[-10:]) / 10} if history else {}
    _tell(out, step, begun, figures | ends)
    save_planner(out, model, tokenizer, words)
    return figures | ends


def _tell(out: Path, step: int, begun: float, figures: dict[str, float]) -> None:
    line = {"step": step, "minutes": round((time.monotonic() - begun) / 60, 2)}
    line |= {k: round(v, 4) for k, v in figures.items()}
    with (out / "training.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")
    typer.echo(" ".join(f"{k} {v}" for k, v in line.items()))
