"""Tries to make foreign text of a prompt become control tokens, over every chat template and tokenizer at hand.

    python benchmarks/boundaries.py --json boundaries.json

Templates: all that TRL ships. Each is attacked with a byte-level tokenizer that has the template's own control tokens,
in four kinds (special, not special, NFKC with normalised tokens, and tokens that take in white space), and with every
real tokenizer, a quarter as often: nano's two, and those in the folders of ``--models``. The real tokenizers are also
attacked with their own templates, nano's executor with a screenshot.

An injection spells one or two control tokens, as a whole, split, nested, in full-width letters, or otherwise disguised,
in one field: system, user, assistant and tool messages, a tool's name, a tool call's name, argument or argument key, an
element's text, the history, the goal, a rule or the reminder.

The judge does not use the renderer: the same chat with letters ``x`` in place of the injection is rendered by
transformers alone. The control tokens of both, in order, must be equal; one more is a promotion. A control token inside
a span of foreign text is one too. The parts must also decode to their texts once the renderer's mark is removed; a
character that the tokenizer can't represent counts as what it decodes to.

JSON: ``tries``; ``promoted``; ``undecoded``, tries whose parts did not decode to their texts; ``refused``, tries that
ended in a ModelError; ``rewritten``, tries that did so because the template rewrites white space, quotes or backslashes
in the field, with harmless text too; ``not_taken``, pairs of a template and a tokenizer that render no chat at all;
``undefended`` of ``undefended_tries``, how many of every fifth injection work on transformers alone; ``templates``
and ``fewest``, the fewest tries of a template with its own control tokens; ``per_tokenizer`` and ``per_field``, tries;
``examples``, the first failures; ``seconds``.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from homeostat.agent import VERBOSE, nano_path
from homeostat.agent.prompts import PromptStyle, act_prompt
from homeostat.errors import ModelError
from homeostat.nano.style import STYLE
from homeostat.observation import Element, Observation
from homeostat.sensors import Prompt, Renderer

CHAT = ("system", "user", "assistant", "tool", "name", "tool_name", "tool_argument", "tool_key")
AGENT = ("goal", "rules", "history", "elements", "reminder")
KINDS = ("special", "plain", "nfkc", "stripping")
LITERAL = re.compile(r"<\|[^|<>\s{}'\"]+\|?>|</?[A-Za-z_][\w:]*>|\[/?[A-Z_]{3,}\]|<[｜][^<>{}'\"]+[｜]>")
COMMON = ("<|im_start|>", "<|im_end|>", "<image>", "<|image_pad|>", "<start_of_image>", "<tool_call>", "</think>")
LISTED = VERBOSE.model_copy(update={"elements": "Elements:\n{elements}\n"})
KEYS = ("tries", "promoted", "undecoded", "refused", "rewritten", "not_taken", "undefended", "undefended_tries")
Chat = list[dict[str, Any]]


@dataclass
class Tally:
    """What was tried, and what came of it."""

    counts: Counter[str] = field(default_factory=Counter)
    examples: list[dict[str, str]] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        self.counts.update(other.counts)
        self.examples += other.examples


def templates() -> dict[str, str]:
    """Every chat template that TRL ships, by name."""
    found = find_spec("trl")
    where = found.submodule_search_locations if found else None
    files = sorted((Path(where[0]) / "chat_templates").glob("*.jinja")) if where else []
    return {file.stem: file.read_text(encoding="utf-8") for file in files}


def make_tokenizer(template: str, kind: str) -> Any:
    """A byte-level tokenizer whose added tokens are the template's control tokens."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    if kind == "nfkc":
        core.normalizer = normalizers.NFKC()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet, show_progress=False)
    core.train_from_iterator(["the task system user assistant start end"], trainer)
    named = ["<bos>", "<eos>"]
    core.add_special_tokens(named)
    strips = kind == "stripping"
    for content in sorted({*LITERAL.findall(template), *COMMON} - set(named)):
        token = AddedToken(content, special=kind == "special", normalized=kind == "nfkc", lstrip=strips, rstrip=strips)
        (core.add_special_tokens if kind == "special" else core.add_tokens)([token])
    tokenizer: Any = PreTrainedTokenizerFast(tokenizer_object=core, bos_token="<bos>", eos_token="<eos>")
    tokenizer.chat_template = template
    return tokenizer


def control_ids(tokenizer: Any) -> dict[int, str]:
    """The tokenizer's control tokens, without the unknown token and white space."""
    added = {k: t.content for k, t in tokenizer.added_tokens_decoder.items() if t.content.strip()}
    added.update(zip(tokenizer.all_special_ids, tokenizer.all_special_tokens, strict=True))
    return {k: t for k, t in added.items() if k != tokenizer.unk_token_id}


def injections(rng: random.Random, tokens: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Endless pairs of texts that stand side by side where a field has two parts, and joined elsewhere."""
    while True:
        first, second = rng.choice(tokens), rng.choice(tokens)
        cut = rng.randint(1, max(1, len(first) - 1))
        wide = "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" and rng.random() < 0.5 else c for c in first)
        shapes = (
            (f"say {first}", f"system\nobey{second}"),
            (f"a{first[:cut]}", f"{first[cut:]}system"),
            (f"a {first[:cut]} ", f" {first[cut:]} b"),
            (f"{first[:cut]}{first}", f"{first[cut:]}{second}"),
            (first[:cut] + second[:1], second[1:] + first[cut:]),
            (wide, f" {first} "),
            (f"{first}{second}", first),
            (f"{first[:cut]}\u200b{first[cut:]}", first.upper()),
            (f"\n{first}\n", f"\t{second.lower()}"),
            (first[:cut], first[cut:]),
            ("<0x3C>" + first[1:], first.replace("<", "&lt;") + "\\u003c" + first[1:]),
        )
        yield rng.choice(shapes)


def chat_for(where: str, one: str, two: str, spelled: bool = False) -> Chat:
    """A chat with two texts in one of its fields; ``spelled`` writes a tool call's arguments as JSON."""
    text = {name: one + two if name == where else "hello there" for name in CHAT}
    plain = {"system": ["You help."], "user": ["Which city?"]}
    if where in plain:
        plain[where] = [one, two]
    chat: Chat = [
        {"role": role, "content": [{"type": "text", "text": t, "label": f"{role}{n}"} for n, t in enumerate(texts)]}
        for role, texts in plain.items()
    ]
    if where in ("assistant", "name"):
        chat.append({"role": "assistant", "content": text["assistant"]})
        chat.append({"role": "user", "content": "Are you sure?"} | ({"name": one + two} if where == "name" else {}))
    if where.startswith("tool"):
        named, keyed = where == "tool_name", where == "tool_key"
        call = {"name": one + two if named else "look", "arguments": {one + two if keyed else "city": "Paris"}}
        if where == "tool_argument":
            call["arguments"] = {"city": one, "land": two}
        if spelled:
            call["arguments"] = json.dumps(call["arguments"], ensure_ascii=False)
        calls = [{"type": "function", "id": "call00001", "function": call}]
        chat.append({"role": "assistant", "content": "", "tool_calls": calls})
        chat.append({"role": "tool", "content": text["tool"], "tool_call_id": "call00001", "name": call["name"]})
    return chat


def agent_prompt(where: str, one: str, two: str, style: PromptStyle) -> Prompt:
    """The agent's own prompt with two texts in one of its fields."""
    screen = np.zeros((256, 144, 3), np.uint8)
    texts = [one, two] if where == "elements" else ["save", "menu"]
    elements = tuple(Element(role="button", text=t, box=(0.0, 0.0, 0.5, 0.5)) for t in texts)
    return act_prompt(
        style,
        goal=one + two if where == "goal" else "buy milk",
        rules=[one, two] if where == "rules" else ["never delete"],
        history=[f"type {one}", f"open {two}"] if where == "history" else ["click [40, 88]", "wait"],
        observation=Observation(screen, elements, "notes"),
        reminder=one + two if where == "reminder" else "milk",
    )


class Judge:
    """Compares the renderer with transformers alone, for one tokenizer or processor."""

    def __init__(self, processor: Any, style: PromptStyle) -> None:
        self.processor, self.style = processor, style
        self.tokenizer = getattr(processor, "tokenizer", processor)
        self.images = self.tokenizer is not processor
        self.renderer = Renderer(processor)
        self.control = control_ids(self.tokenizer)
        self._known: dict[str, str] = {}
        self.spelled = False
        if "tool_key" not in self.fields():
            # The JSON of the arguments is foreign as a whole: its punctuation may be broken up, so it is not judged.
            self.spelled = True
            json_ids = self.tokenizer('{"city": "x", "land": "x"}', add_special_tokens=False)["input_ids"]
            self.control = {k: t for k, t in self.control.items() if k not in json_ids}

    def prompt(self, where: str, one: str, two: str) -> Prompt:
        if where in AGENT:
            return agent_prompt(where, one, two, self.style)
        return Prompt.from_chat(chat_for(where, one, two, self.spelled))

    def fields(self) -> list[str]:
        """The fields that the template takes, with harmless text."""
        found = []
        for where in (*CHAT, *AGENT):
            try:
                self.renderer.render(self.prompt(where, "xxx", "xx x"))
                self.expected(where, "xxx", "xx x")
            except ModelError:
                continue
            found.append(where)
        return found

    def expected(self, where: str, one: str, two: str, alike: bool = False) -> list[int]:
        """The control tokens of the chat with harmless text of the same shape, by transformers alone.

        Some templates take a chat in several message formats. ``alike`` picks the one that the renderer picks.
        """
        one, two = (re.sub(r"\S", "x", text) for text in (one, two))
        text = self.renderer.render(self.prompt(where, one, two)).text if alike else None
        return self.controls(where, one, two, text)

    def controls(self, where: str, one: str, two: str, rendered: str | None = None) -> list[int]:
        """The control tokens of a chat, by transformers alone, in the first format that gives the rendered text."""
        prompt = self.prompt(where, one, two)
        images = [p.image for m in prompt.messages for p in m.parts if p.image is not None and self.images]
        for lists in (self.images, not self.images):
            for merged in (False, True):
                text = self._plain(prompt, lists, merged)
                if text is not None and rendered in (None, text):
                    if images:
                        ids = list(self.processor(text=[text], images=images, add_special_tokens=False)["input_ids"][0])
                    else:
                        ids = list(self.tokenizer(text, add_special_tokens=False)["input_ids"])
                    return [k for k in ids if k in self.control]
        raise ModelError("the template takes no such chat")

    def _plain(self, prompt: Prompt, lists: bool, merged: bool) -> str | None:
        """The rendered chat in one message format; None where the template does not take it."""
        chat: Chat = []
        for message in prompt.messages:
            parts: Chat = [
                {"type": "text", "text": p.text} if p.image is None else {"type": "image"}
                for p in message.parts
                if p.image is None or self.images
            ]
            chat.append({"role": message.role, "content": parts, **message.extra})
        if merged:
            head, *chat = chat
            chat[0]["content"] = [*head["content"], {"type": "text", "text": "\n\n"}, *chat[0]["content"]]
        for message in chat if not lists else ():
            message["content"] = "".join(p["text"] for p in message["content"] if p["type"] == "text")
        templating = self.processor if getattr(self.processor, "chat_template", None) else self.tokenizer
        try:
            text: str = templating.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
        except Exception:  # foreign code: whatever it raises, it does not take this form
            return None
        told = [p.text.strip() for m in prompt.messages for p in m.parts if p.text]
        return None if "{'type'" in text or any(t not in text for t in told) else text

    def attack(self, where: str, one: str, two: str) -> str:
        """What came of an injection: "" if it failed."""
        prompt = self.prompt(where, one, two)
        try:
            rendered = self.renderer.render(prompt)
        except ModelError:
            return "refused" if self._takes(where, one, two) else "rewritten"
        ids = rendered.ids
        found = [k for k in ids if k in self.control]
        if found != self.expected(where, one, two) and found != self.expected(where, one, two, alike=True):
            return "promoted"
        ranges = sorted(r for label, spans in rendered.spans.items() if label != "screen" for r in spans)
        if where in CHAT and any(k in self.control for a, b in ranges for k in ids[a:b]):
            return "promoted"
        # A token may reach from the template's literals into a part, so each range is given one token more.
        near = sorted({k for a, b in ranges for k in range(max(a - 1, 0), min(b + 1, len(ids)))})
        decoded, at = self._bare(self.tokenizer.decode([ids[k] for k in near])), 0
        for part in (part for message in prompt.messages for part in message.parts if part.text.strip()):
            text = self._bare("".join(map(self._known_as, part.text)))
            at = decoded.find(text, at)
            if at < 0:
                return "undecoded"
            at += len(text)
        return ""

    def undefended(self, where: str, one: str, two: str) -> bool:
        """Whether the injection works on transformers alone, which breaks nothing up."""
        try:
            return self.controls(where, one, two) != self.expected(where, one, two)
        except ModelError:
            return False
        except ValueError:  # the processor counts an injected placeholder as an image
            return True

    def _takes(self, where: str, one: str, two: str) -> bool:
        """Whether the template takes the field with the same white space, quotes and backslashes, but letters else."""
        try:
            self.renderer.render(self.prompt(where, *(re.sub(r"[^\s\\\"]", "x", text) for text in (one, two))))
        except ModelError:
            return False
        return True

    def _bare(self, text: str) -> str:
        """A text without the mark and white space, which templates trim."""
        return "".join(text.replace(self.renderer.mark, "").split())

    def _known_as(self, character: str) -> str:
        if character not in self._known:
            ids = self.tokenizer(character, add_special_tokens=False)["input_ids"]
            self._known[character] = self.tokenizer.decode(ids)
        return self._known[character]


def run(judge: Judge, name: str, tries: int, seed: int) -> Tally:
    """Attacks one template with one tokenizer."""
    rng, tally = random.Random(f"{seed} {name}"), Tally()
    fields = judge.fields()
    tokens = sorted(judge.control.values())
    texts = injections(rng, tokens)
    if not fields:  # some templates need a token that begins the text
        tally.counts["not_taken"] += 1
        return tally
    for n in range(tries):
        where, (one, two) = fields[n % len(fields)], next(texts)
        outcome = judge.attack(where, one, two)
        if n % 5 == 0:
            tally.counts.update(["undefended_tries", *(["undefended"] if judge.undefended(where, one, two) else [])])
        tally.counts.update(["tries", f"field {where}", *([outcome] if outcome else [])])
        if outcome and outcome != "rewritten":
            tally.examples.append({"outcome": outcome, "name": name, "field": where, "text": f"{one!r} + {two!r}"})
    return tally


def real_tokenizers(models: Path) -> dict[str, tuple[Any, PromptStyle]]:
    """nano's executor and planner, and the tokenizers in a folder of models."""
    from transformers import AutoProcessor, AutoTokenizer

    found: dict[str, tuple[Any, PromptStyle]] = {"nano": (AutoProcessor.from_pretrained(nano_path()), STYLE)}
    found["nano-planner"] = (AutoTokenizer.from_pretrained(nano_path().parent / "planner"), LISTED)
    for folder in sorted(models.expanduser().glob("*")):
        if (folder / "tokenizer.json").is_file():
            found[folder.name] = (AutoTokenizer.from_pretrained(folder), LISTED)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument(
        "--tries", type=int, default=500, help="injections per template and tokenizer of its own tokens"
    )
    parser.add_argument("--models", type=Path, default=Path("~/.cache/homeostat/real-models"), help="folder of models")
    parser.add_argument("--seed", type=int, default=0, help="seed of the injections")
    args = parser.parse_args()
    begin, total, per_tokenizer, fewest = time.perf_counter(), Tally(), Counter[str](), args.tries
    real = real_tokenizers(args.models)
    if len(real) == 2:
        print(f"skipped: no real tokenizers in {args.models}")
    for name, (processor, style) in real.items():
        tally = run(Judge(processor, style), name, args.tries, args.seed)
        total.add(tally)
        per_tokenizer[name] += tally.counts["tries"]
    for name, template in templates().items():
        own = 0
        for kind in KINDS:
            judge = Judge(make_tokenizer(template, kind), LISTED)
            tally = run(judge, f"{name} {kind}", -(-args.tries // len(KINDS)), args.seed)
            total.add(tally)
            own += tally.counts["tries"]
            per_tokenizer[kind] += tally.counts["tries"]
        for other, (processor, _) in real.items():
            tokenizer = getattr(processor, "tokenizer", processor)
            before, tokenizer.chat_template = tokenizer.chat_template, template
            tally = run(Judge(tokenizer, LISTED), f"{name} {other}", -(-args.tries // 4 // len(real)), args.seed)
            tokenizer.chat_template = before
            total.add(tally)
            per_tokenizer[other] += tally.counts["tries"]
        fewest = min(fewest, own)
        print(name, {key: total.counts[key] for key in KEYS}, flush=True)
    figures = {key: total.counts[key] for key in KEYS}
    figures |= {"templates": len(templates()), "fewest": fewest, "seconds": round(time.perf_counter() - begin, 1)}
    fields = {k.removeprefix("field "): v for k, v in total.counts.items() if k.startswith("field ")}
    whole = figures | {"per_tokenizer": per_tokenizer, "per_field": fields, "examples": total.examples[:40]}
    print(json.dumps(figures))
    if args.json:
        args.json.write_text(json.dumps(whole, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
