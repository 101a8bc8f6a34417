"""Reweights attention: applies steering rules inside the probe's attention call.

Multiplying a head's unnormalised attention on the keys S by γ is the same as adding log γ to those logits before the
softmax. With P the weights before, and m their sum over S, the head's output o becomes

    o' = (o + (γ − 1) P_S V_S) / (1 + (γ − 1) m),        m' = γ m / (1 + (γ − 1) m)

Therefore log γ = logit(m') − logit(m) moves a mass m to a target m'. PASTA (arXiv 2311.02262) has γ = 0.01 on what is
outside of a span in the prompt, InstABoost (2506.13734) γ > 1 on the prompt's beginning, and ZeroTuning (2505.11739)
uses S = the first token. Spotlight (2505.12025) has one γ = target/m for all heads and rows of a layer, where m is the
mean mass; ``settling.py`` finds it.

ACT (2406.15765) and VAR (2503.03321) scale a mass, m' = s m. The difference goes to all other keys, or to those of one
span, in proportion to their weights. PAINT (2501.12206, for local and summary image tokens) adds α |s| to logits s; VHR
(2412.13949) multiplies a head's output.

``parts.py`` applies the rules beside torch's fused kernel, in prefill. Where it can't, ``channels.py`` and
``moving.py`` do. In decoding, and where a rule is about single keys, the weights themselves are changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import log

import torch
from torch import Tensor

from homeostat.sensors.steering.actuators import Actuator
from homeostat.sensors.steering.channels import key_channels, query_channels
from homeostat.sensors.steering.runs import Run

__all__ = ["LayerSteering"]

_SMALL = 4  # masses are moved beside the fused kernel if the named keys are at most 1/_SMALL of all keys


@dataclass(frozen=True)
class LayerSteering:
    """The steering rules of one layer in one forward.

    Attributes:
        rules: The N rules.
        members: (B, N, K): 1 if the key belongs to rule n's span.
        takers: (B, N, K): 1 if the key belongs to the span ``to`` of rule n.
        looked: (B, N, K): 1 if the key belongs to the span of rule n's ``where``.
        acting: (B or 1, N, H, Q): 1 if rule n applies to this head and row.
        length: The number of slots of the prompt; None if it is unknown.
        sinks: (B, H, K) by rule: 1 if the key is a sink of the head; None for a rule whose sinks are still to be found.
        factors: (B,) by rule: the factor of a rule with ``floor``; empty until it is settled.
        start: The first row that some rule applies to.
        hulls: By rule, the first key of its span and the key after the last, over all prompts.
        runs: For each prompt, the runs of keys from the first to the last; empty in decoding.
    """

    rules: tuple[Actuator, ...]
    members: Tensor
    takers: Tensor
    looked: Tensor
    acting: Tensor
    length: int | None = None
    sinks: Mapping[int, Tensor | None] = field(default_factory=dict)
    factors: Mapping[int, Tensor] = field(default_factory=dict)
    start: int = 0
    hulls: tuple[tuple[int, int], ...] = ()
    runs: tuple[tuple[Run, ...], ...] = ()

    @cached_property
    def needs_weights(self) -> bool:
        """Whether a rule that applies here needs the logit or the weight of every key by itself."""
        pairs = zip(self.rules, self._applies, strict=True)
        return any(applies and (rule.stretch is not None or rule.sinks is not None) for rule, applies in pairs)

    @cached_property
    def moves_much(self) -> bool:
        """Whether masses are moved over so many keys that computing all weights costs less than ``moving.py`` does."""
        return self.moves and len(self.named) * _SMALL > self.members.shape[-1]

    @cached_property
    def moves(self) -> bool:
        """Whether a rule that applies here moves a mass."""
        return any(
            (rule.target is not None or rule.floor is not None or rule.scale is not None) and self._applies[i]
            for i, rule in enumerate(self.rules)
        )

    @cached_property
    def raising(self) -> tuple[int, ...]:
        """The rules whose factor depends on the mean mass of their span."""
        return tuple(i for i, rule in enumerate(self.rules) if rule.floor is not None and self._applies[i])

    @property
    def searching(self) -> tuple[int, ...]:
        """The rules whose sinks are still to be found."""
        return tuple(i for i, found in self.sinks.items() if found is None)

    @property
    def settled(self) -> bool:
        """Whether nothing is left that a first pass over the rows has to find."""
        return not self.searching and (bool(self.factors) or not self.raising)

    @cached_property
    def named(self) -> Tensor:
        """The indices of the keys that some rule names, in some prompt of the batch."""
        return (self.members + self.takers + self.looked).sum((0, 1)).nonzero().flatten()

    @cached_property
    def _applies(self) -> tuple[bool, ...]:
        """For each rule, whether it applies to some head and row."""
        return tuple(self.acting.any(-1).any(-1).any(0).tolist())

    @cached_property
    def has_gains(self) -> bool:
        """Whether some rule has a gain."""
        return any(rule.gain is not None for rule in self.rules)

    @cached_property
    def lowers(self) -> bool:
        """Whether a rule can take mass from the keys that it names."""
        return not all(
            rule.output is not None
            or rule.raise_only
            or rule.floor is not None
            or (rule.gain or rule.scale or 0.0) >= 1
            for rule in self.rules
        )

    def on_scores(self, first: int, stop: int) -> Callable[[Tensor], Tensor] | None:
        """Returns what gains and stretches do to the logits of some rows.

        Args:
            first: The first row.
            stop: The row after the last.

        Returns:
            A function from (B, H, r, K) logits to logits with log γ and α |s| added, which may change its argument;
            None if no rule has a gain or a stretch.
        """
        alphas = [(rule.stretch or 0.0) * applies for rule, applies in zip(self.rules, self._applies, strict=True)]
        if not self.has_gains and not any(alphas):
            return None

        def change(scores: Tensor) -> Tensor:
            if any(alphas):
                acting = self.acting * torch.tensor(alphas, device=self.acting.device)[:, None, None]
                scores = scores + _on_keys(acting[..., first:stop], self.members) * scores.abs()
            for i, rule in enumerate(self.rules):
                if rule.gain is not None:
                    mine = slice(*self.hulls[i])
                    rows = self.acting[:, i, :, first:stop, None]
                    scores[..., mine].addcmul_(rows, self.members[:, i, None, None, mine], value=log(rule.gain))
            return scores

        return change

    def outputs(self, out: Tensor) -> Tensor:
        """Multiplies the heads' outputs.

        Args:
            out: (B, Q, H, D) outputs.

        Returns:
            (B, Q, H, D) outputs, multiplied by g for the heads and rows of each rule with ``output``.
        """
        for i, rule in enumerate(self.rules):
            if rule.output is not None:
                out = out * (1 + (rule.output - 1) * self.acting[:, i].transpose(1, 2)[..., None]).to(out.dtype)
        return out

    def retarget(self, weights: Tensor, first: int, stop: int) -> Tensor:
        """Moves masses, one rule after the other.

        Args:
            weights: (B, H, r, K) weights of some rows.
            first: The first of these rows.
            stop: The row after the last.

        Returns:
            (B, H, r, K) weights after all rules with ``target``, ``floor`` or ``scale``.
        """
        for i, rule in enumerate(self.rules):
            if rule.target is None and rule.scale is None and i not in self.factors:
                continue
            mine, member = slice(*self.hulls[i]), self._member(i)
            mass = (weights[..., mine] * member).sum(-1, keepdim=True)
            acts = self.acting[:, i, :, first:stop, None].bool() & (mass > 0)
            if rule.where is not None:
                looked = self.looked[:, i, None, None]
                seen = (weights * looked).sum(-1, keepdim=True)
                wasted = (weights[..., mine] * looked[..., mine] * member).sum(-1, keepdim=True)
                acts = acts & (seen >= rule.where.least) & (wasted <= rule.where.most * seen)
            if rule.scale is not None and (rule.to is not None or rule.sinks is not None):
                # Beside its sinks a head may have next to nothing, and the paper scales even that.
                acts = acts if rule.sinks is not None else acts & (mass < 1 - 1e-6)
                weights = self._handed_over(weights, i, rule.scale, mass, acts)
                continue
            rest = torch.matmul(weights, self._others[:, i, None, :, None])  # 1 − mass would lose digits
            acts = acts & (rest > 1e-6)
            if rule.floor is not None:
                factor = self.factors[i][:, None, None, None]
                outside = 1 / (rest + factor * mass).clamp(min=1e-12)
                inside = factor * outside
            else:
                new = rule.target if rule.scale is None else (rule.scale * mass).clamp(max=1 - 1e-6)
                assert new is not None
                if rule.raise_only:
                    acts = acts & (mass < new)
                inside, outside = new / mass.clamp(min=1e-12), (1 - new) / rest.clamp(min=1e-12)
            inside, outside = torch.where(acts, inside, 1.0), torch.where(acts, outside, 1.0)
            moved = weights * outside
            both = outside * self._others[:, i, None, None, mine] + inside * member
            moved[..., mine] = weights[..., mine] * both
            weights = moved
        return weights

    @cached_property
    def few(self) -> LayerSteering:
        """The same rules on the named keys only, with one more key that stands for all others."""
        pad = torch.nn.functional.pad
        return self._on(lambda members: pad(members[..., self.named], (0, 1)), len(self.named))

    def of_parts(self, runs: Sequence[Run], prompt: int) -> LayerSteering:
        """The same rules on parts of the keys, which they change as a whole.

        Args:
            runs: The runs of keys, one for each part.
            prompt: The prompt that the runs belong to.

        Returns:
            The rules for that prompt's rows of the batch; a part takes the place of a key.
        """
        each = len(self.members) // len(self.runs)
        rows = slice(prompt * each, (prompt + 1) * each)
        firsts = [run.start for run in runs]
        one = self._on(lambda members: members[rows][..., firsts], len(runs))
        acting = self.acting if len(self.acting) == 1 else self.acting[rows]
        return replace(one, acting=acting, factors={i: factor[rows] for i, factor in self.factors.items()})

    def _on(self, pick: Callable[[Tensor], Tensor], keys: int) -> LayerSteering:
        """The same rules on other keys."""
        hulls = ((0, keys),) * len(self.rules)
        masks = [pick(members) for members in (self.members, self.takers, self.looked)]
        return replace(self, members=masks[0], takers=masks[1], looked=masks[2], hulls=hulls)

    @cached_property
    def _others(self) -> Tensor:
        """(B, N, K): 1 if the key does not belong to rule n's span."""
        return 1 - self.members

    def _member(self, rule: int) -> Tensor:
        """(B, H or 1, 1, k): 1 if the rule is about the key, for the k keys of its hull."""
        found = self.sinks.get(rule)
        every = self.members[:, rule, None, None] if found is None else found[:, :, None]
        return every[..., slice(*self.hulls[rule])]

    def _handed_over(self, weights: Tensor, rule: int, scale: float, mass: Tensor, acts: Tensor) -> Tensor:
        """Multiplies a mass by ``scale``; the difference goes to the span ``to``, or from sinks to all other keys."""
        found = self.sinks.get(rule)
        member = self.members[:, rule, None, None] if found is None else found[:, :, None]
        taker = 1 - member
        if self.rules[rule].to is not None:
            taker = self.takers[:, rule, None, None] * taker
        new = (scale * mass).clamp(max=1 - 1e-6)
        given = (weights * taker).sum(-1, keepdim=True)
        factor = 1 + (mass - new) / given.clamp(min=1e-30)
        # The row is unchanged if ``to`` has no weight, or too little to give.
        acts = acts & (given > 0) & (factor >= 0)
        inside = torch.where(acts, new / mass.clamp(min=1e-12) - 1, 0.0)
        return weights * (1 + inside * member + torch.where(acts, factor - 1, 0.0) * taker)

    def widen(self, query: Tensor, key: Tensor, value: Tensor, scale: float) -> tuple[Tensor, Tensor, Tensor]:
        """Adds the gains as further channels, for the fused kernel.

        If masses are moved, the output's first further channel is the mass on the named keys. The next ones are the
        masses of the rules in :attr:`raising`.

        Args:
            query: (B, H, Q, D) queries.
            key: (B, G, K, D) keys.
            value: (B, G, K, D) values.
            scale: The factor of q·k, which stays the same.

        Returns:
            Queries, keys and values of a larger head size.
        """
        asked = query_channels(self._logs() / scale, query)
        held = key_channels(self.members, key)
        wide = torch.nn.functional.pad(value, (0, held.shape[-1]))
        if self.moves:
            wide[:, :, self.named, value.shape[-1]] = 1
            for place, rule in enumerate(self.raising, value.shape[-1] + 1):
                wide[..., place] = self.members[:, None, rule].to(wide.dtype)
        return torch.cat([query, asked], -1), torch.cat([key, held], -1), wide

    def _logs(self) -> Tensor:
        """(B or 1, N, H, Q) log γ of every rule with a gain, 0 for heads and rows that it does not apply to."""
        logs = [0.0 if rule.gain is None else log(rule.gain) for rule in self.rules]
        return self.acting * torch.tensor(logs, device=self.acting.device)[:, None, None]


def _on_keys(rows: Tensor, members: Tensor) -> Tensor:
    """(B, H, r, K): the (B or 1, N, H, r) numbers of the rules, on the (B, N, K) keys that they are about."""
    return torch.einsum("bnhr,bnk->bhrk", rows.expand(len(members), -1, -1, -1), members)
