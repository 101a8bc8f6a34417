"""Steers attention by parts of the keys, beside torch's fused kernel.

The keys are split into parts: runs of adjacent keys that belong to the same spans of the rules. For one part a, the
kernel returns the output o_a and the logarithm l_a of the sum of the exponentiated logits. The mass on the part, and
the output, are

    P_a = exp(l_a) / Σ_c exp(l_c),        o = Σ_a P_a o_a

Gains, targets, floors and scales multiply the weights of all keys of a part by the same number. They are therefore
applied to the few P_a as they would be applied to the weights of single keys, and with the new masses P',

    o' = Σ_a P'_a o_a

Either all parts are computed by themselves, which together costs what one call on all keys costs. Or the kernel runs
once on all keys and once more on each named part; the other keys are then one part, R, with P_R = 1 − Σ_c P_c and

    o' = r o + Σ_c (P'_c − r P_c) o_c,        r = P'_R / P_R

That costs less for short spans, because the named parts are short and nothing else is split. It is used only if no rule
takes mass from a named span: then r ≤ 1, and rounding is not magnified.

The kernel that returns l is torch's kernel for CPUs. Its gradient does not include l, so training takes the way of
``moving.py``, as do other devices.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from homeostat.sensors.probe.explicit_attention import RowMask, visible
from homeostat.sensors.steering.runs import Run
from homeostat.sensors.steering.settling import Settling

if TYPE_CHECKING:
    from homeostat.sensors.probe.explicit_attention import AttentionScoring
    from homeostat.sensors.steering.reweighting import LayerSteering

__all__ = ["attend_in_parts", "can_attend_in_parts"]

_MOST = 16  # at most so many named runs of keys: each takes a call of the kernel, and a pass over the output
_SMALL = 0.12  # named parts are computed beside all keys if they add at most this share of the work
_FEW = 16  # so few rows are computed from all weights instead
_HIDDEN = -1e30  # the logit of a hidden key; with -inf, the kernel's logarithm of an empty sum would be 0
_KERNEL = "_scaled_dot_product_flash_attention_for_cpu"
_SINCE = (2, 13)  # earlier kernels don't share a key head among query heads


def can_attend_in_parts(rules: LayerSteering, query: Tensor, key: Tensor, value: Tensor) -> bool:
    """Returns whether a layer's rows can be steered by parts of the keys.

    Args:
        rules: The rules of the layer.
        query: (B, H, Q, D) queries.
        key: (B, G, K, D) keys.
        value: (B, G, K, D) values.

    Returns:
        False if a rule is about single keys, if there are too many parts, and where the kernel is not available.
    """
    learning = torch.is_grad_enabled() and (query.requires_grad or key.requires_grad or value.requires_grad)
    return (
        not learning
        and query.device.type == "cpu"
        and query.shape[-1] == value.shape[-1]
        and bool(rules.runs)
        and all(sum(run.named for run in runs) <= _MOST for runs in rules.runs)
        and not rules.needs_weights
        and tuple(map(int, torch.__version__.split(".")[:2])) >= _SINCE
        and hasattr(torch.ops.aten, _KERNEL)
    )


def attend_in_parts(
    rules: LayerSteering, query: Tensor, key: Tensor, value: Tensor, scoring: AttentionScoring, rows: RowMask
) -> tuple[Tensor, LayerSteering, list[int]]:
    """Computes a layer's steered attention.

    Args:
        rules: The rules of the layer.
        query: (B, H, Q, D) queries.
        key: (B, G, K, D) keys.
        value: (B, G, K, D) values.
        scoring: How the layer computes its logits.
        rows: Which keys each row sees.

    Returns:
        The (B, Q, H, D) output, the settled rules, and the rows that have to be computed from all weights instead.
    """
    each = len(query) // len(rules.runs)
    outs, factors, again = [], [], set()
    for prompt in range(len(rules.runs)):
        mine = slice(prompt * each, (prompt + 1) * each)
        mask = rows.mask if rows.mask is None or len(rows.mask) == 1 else rows.mask[mine]
        one = _Prompt(rules, prompt, query[mine], key[mine], value[mine], scoring.scale, replace(rows, mask=mask))
        outs.append(one.out)
        factors.append(one.factors)
        again.update(one.again)
    settled = {i: torch.cat([factor[i] for factor in factors]) for i in factors[0]}
    out = outs[0] if len(outs) == 1 else torch.cat(outs)
    return out, replace(rules, factors=settled) if settled else rules, sorted(again)


class _Piece(NamedTuple):
    """A part's output in some rows: rows ``start`` to ``stop``, (B, r, H, D) ``out`` and (B, H, r) ``log``."""

    part: int
    start: int
    stop: int
    out: Tensor
    log: Tensor


class _Prompt:
    """The steered attention of the rows that share a prompt. All of them have the same parts."""

    def __init__(
        self, rules: LayerSteering, prompt: int, query: Tensor, key: Tensor, value: Tensor, scale: float, rows: RowMask
    ) -> None:
        """Computes the output ``out``, the ``factors`` of rules with a floor, and the rows to compute ``again``."""
        self._tensors = query, key, value
        self._scale = scale
        self._rows = rows
        self._ordered = rows.mask is None and rows.causal  # row i sees key j iff j ≤ i
        self.factors = {rule: query.new_ones(len(query), dtype=torch.float32) for rule in rules.raising}
        self.again: list[int] = []
        queries = query.shape[2]
        runs = rules.runs[prompt]
        first = rules.start
        if self._ordered:  # no named key is visible before
            first = max(first, next((run.start for run in runs if run.named), queries))
        if first >= queries or (queries - first <= _FEW and not rules.raising):
            self.out, _ = self._call(0, queries, 0, key.shape[2])
            self.again = list(range(first, queries))
            return
        self._first = first
        parts = [piece for run in runs for piece in _cut(run, first if self._ordered else 0)]
        named = [run for run in parts if run.named]
        beside = self._work(named) <= _SMALL * self._work(parts)
        if beside and not rules.lowers:
            self.out, whole = self._call(0, queries, 0, key.shape[2])
            parts = named
        else:
            beside = False
            self.out = query.new_empty(len(query), queries, query.shape[1], query.shape[-1])
            if first:
                self.out[:, :first] = self._call(0, first, 0, first if self._ordered else key.shape[2])[0]
        pieces = self._pieces(parts)
        logs = query.new_full((len(query), query.shape[1], queries - first, len(parts)), _HIDDEN, dtype=torch.float32)
        for piece in pieces:
            logs[:, :, piece.start - first : piece.stop - first, piece.part] = piece.log
        if beside:
            whole = whole[:, :, first:, None]
            old = (logs - whole).exp()
            rest = 1 - old.sum(-1, keepdim=True)
            logs = torch.cat([logs, whole + rest.clamp(min=1e-30).log()], -1)
            other = next(run for run in runs if not run.named)  # stands for all of them
            bound = rules.of_parts([*parts, other], prompt)
        else:
            bound = rules.of_parts(parts, prompt)
        new = self._steered(bound, logs)
        if not beside:
            self._mix(pieces, new)
            return
        kept = new[..., -1:] / rest.clamp(min=1e-6)
        self._mix(pieces, new[..., :-1] - kept * old, kept)

    def _work(self, parts: Sequence[Run]) -> int:
        """The number of logits of the parts, in the rows from the first that is steered."""
        queries = self._rows.queries
        if not self._ordered:
            return (queries - self._first) * sum(run.stop - run.start for run in parts)
        work = 0
        for start, stop, _ in parts:
            work += (queries - max(stop, self._first)) * (stop - start)
            work += (stop - start) ** 2 // 2 if start >= self._first else 0
        return work

    def _pieces(self, parts: Sequence[Run]) -> list[_Piece]:
        """The parts' outputs. A part that begins among the rows has a triangle of its own, and the rows below it."""
        queries, pieces = self._rows.queries, []
        for part, (start, stop, _) in enumerate(parts):
            bands = [(self._first, queries)]
            if self._ordered:
                bands = [(start, stop)] if start >= self._first else []
                bands += [(max(stop, self._first), queries)] if stop < queries else []
            for top, bottom in bands:
                pieces.append(_Piece(part, top, bottom, *self._call(top, bottom, start, stop)))
        return pieces

    def _call(self, top: int, bottom: int, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """The kernel's (B, r, H, D) output and (B, H, r) logarithm for rows top to bottom and keys start to stop."""
        query, key, value = self._tensors
        mask = None
        if not self._ordered:
            mask = self._rows.rows(top, bottom)
            mask = mask if mask is None else mask[..., start:stop]
        if mask is not None and mask.dtype == torch.bool:
            mask = query.new_zeros(mask.shape, dtype=torch.float32).masked_fill_(~mask, _HIDDEN)
        elif mask is not None:
            mask = mask.float().clamp(min=_HIDDEN)
        out, log = getattr(torch.ops.aten, _KERNEL)(
            query[:, :, top:bottom],
            key[:, :, start:stop],
            value[:, :, start:stop],
            is_causal=self._ordered and top == start and bottom - top > 1,
            attn_mask=mask,
            scale=self._scale,
        )
        return out.transpose(1, 2), log

    def _steered(self, rules: LayerSteering, logs: Tensor) -> Tensor:
        """(B, H, r, A): the masses of the parts after all rules."""
        first, queries = self._first, self._rows.queries
        change = rules.on_scores(first, queries)
        masses = (logs if change is None else change(logs)).softmax(-1)
        if rules.raising:
            found, seen = Settling(rules), None if self._ordered else self._rows.rows(0, queries)
            valid = None if seen is None else visible(seen).any(-1)
            for rule in rules.raising:
                mass = (masses * rules.members[:, rule, None, None]).sum(-1)
                found.add_mass(rule, torch.nn.functional.pad(mass, (first, 0)), valid, 0)
            rules = found.result()
            self.factors |= rules.factors
        return rules.retarget(masses, first, queries) if rules.moves else masses

    def _mix(self, pieces: Sequence[_Piece], weights: Tensor, kept: Tensor | None = None) -> None:
        """Writes Σ_a w_a o_a into the output, from the first steered row; if ``kept`` is given, kept · out is added."""
        weights = weights.transpose(1, 2).to(self.out.dtype)
        kept = None if kept is None else kept.transpose(1, 2).to(self.out.dtype)
        ends = {self._first, self._rows.queries, *(end for piece in pieces for end in (piece.start, piece.stop))}
        for top, bottom in itertools.pairwise(sorted(ends)):
            out, at = self.out[:, top:bottom], slice(top - self._first, bottom - self._first)
            some = [
                (piece.out[:, top - piece.start : bottom - piece.start], weights[:, at, :, piece.part, None])
                for piece in pieces
                if piece.start <= top and bottom <= piece.stop
            ]
            if kept is None and len(some) == 1:  # only one part is visible
                out.copy_(some[0][0])
            elif kept is None and len(some) == 2:
                torch.lerp(some[0][0], *some[1], out=out)
            elif kept is not None and len(some) == 1:
                out.lerp_(*some[0])
            else:
                if kept is None:
                    torch.mul(*some.pop(), out=out)
                else:
                    out.mul_(kept[:, at])
                for part in some:
                    out.addcmul_(*part)


def _cut(run: Run, at: int) -> list[Run]:
    """The run, cut in two where a key lies inside it."""
    if run.start < at < run.stop:
        return [run._replace(stop=at), run._replace(start=at)]
    return [run]
