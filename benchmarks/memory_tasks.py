"""Long conversations with questions about what a tool said earlier, for the benchmarks of the memory.

Three kinds, all of exact facts: ``tools`` (an agent has called many tools), ``needle`` (it has read many pages,
and some hold a fact of their own), and ``tau`` (recorded episodes of tau-bench's airline agent). The generated kinds
are drawn from a seed; the split ``dev``, which is for development, has other words than ``test``.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from homeostat.actions import Call
from homeostat.agent.prompts import ConversationStyle, conversation_prompt
from homeostat.conversation import Conversation, Turn
from homeostat.sensors import Prompt, Renderer

WORDS: dict[str, dict[str, tuple[str, ...]]] = {
    "test": {
        "names": ("Ada Brandt", "Noor Haddad", "Luis Ortega", "Mei Tanaka", "Olu Adeyemi", "Petra Novak", "Ravi Menon"),
        "cities": ("Utrecht", "Porto", "Graz", "Malmö", "Turku", "Ghent", "Bergen", "Leipzig"),
        "things": (
            "river",
            "market",
            "bridge",
            "orchard",
            "tram",
            "harbour",
            "library",
            "mountain",
            "garden",
            "station",
        ),
        "verbs": ("crosses", "faces", "borders", "overlooks", "follows", "shelters", "feeds", "divides"),
        "values": ("amber", "walnut", "copper", "falcon", "velvet", "marble", "juniper", "saffron", "cobalt", "elm"),
        "tools": (
            *("weather", "contact", "hotel", "flight", "invoice", "parcel", "doctor", "library", "car", "concert"),
            *("recipe", "tenant", "patent", "stadium", "orchestra", "warehouse", "vaccine", "satellite", "vineyard"),
        ),
    },
    "dev": {
        "names": ("Tom Weller", "Ines Costa", "Jun Park", "Sara Lind", "Kofi Mensah", "Vera Orlova"),
        "cities": ("Lyon", "Bilbao", "Linz", "Aarhus", "Tampere", "Bruges"),
        "things": ("valley", "square", "canal", "vineyard", "road", "pier", "school", "hill", "park", "airport"),
        "verbs": ("joins", "hides", "meets", "guards", "lights", "warms", "passes", "ends"),
        "values": ("silver", "cedar", "bronze", "heron", "linen", "granite", "thyme", "ginger", "indigo", "maple"),
        "tools": (
            *("train", "museum", "gym", "course", "loan", "ticket", "dentist", "bakery", "boat", "theatre"),
            *("laptop", "painting", "tunnel", "cargo", "passport", "glacier", "telescope", "choir", "mine", "pharmacy"),
        ),
    },
}

FACTS: dict[str, tuple[tuple[str, str], ...]] = {
    "test": (
        ("The password of the old lighthouse is {v} {n}.", "What is the password of the old lighthouse?"),
        ("Captain Orlov's ship carries the registration {v} {n}.", "What is the registration of Captain Orlov's ship?"),
        ("The museum's most expensive painting hangs in room {n}.", "In which room hangs the most expensive painting?"),
        (
            "The baker's secret recipe needs {n} grams of butter.",
            "How many grams of butter does the secret recipe need?",
        ),
        ("The king's treasure was buried in the year {n}.", "In which year was the king's treasure buried?"),
        ("Professor Lindqvist's telephone number is {n}-{m}.", "What is Professor Lindqvist's telephone number?"),
        ("The night train to Vienna has the number {n}.", "What number does the night train to Vienna have?"),
        ("The clock tower has exactly {n} steps.", "How many steps does the clock tower have?"),
        ("The hidden wine cellar is opened with the word {v}.", "With which word is the hidden wine cellar opened?"),
        ("The chess champion's cat is called {v}.", "What is the chess champion's cat called?"),
        ("The wireless network of the hostel has the key {v}{n}.", "What is the key of the hostel's wireless network?"),
        (
            "The heaviest pumpkin at the fair weighed {n} kilograms.",
            "How many kilograms did the heaviest pumpkin weigh?",
        ),
    ),
    "dev": (
        ("The code of the vault below the bank is {v} {n}.", "What is the code of the vault below the bank?"),
        ("The violin of Maestro Ferri was built in {n}.", "When was the violin of Maestro Ferri built?"),
        ("The astronomer's favourite comet is named {v}.", "What is the astronomer's favourite comet named?"),
        ("The ferry to the island costs {n} crowns.", "How many crowns does the ferry to the island cost?"),
        ("The mayor's parrot only answers to the word {v}.", "To which word does the mayor's parrot answer?"),
        ("The emergency line of the cable car is {n}-{m}.", "What is the emergency line of the cable car?"),
        ("The lost manuscript has {n} pages.", "How many pages does the lost manuscript have?"),
        ("The glacier hut is reserved under the name {v} {n}.", "Under which name is the glacier hut reserved?"),
        ("The oldest tree in the forest is {n} years old.", "How old is the oldest tree in the forest?"),
        ("The smuggler's tunnel starts behind house {n}.", "Behind which house does the smuggler's tunnel start?"),
    ),
}
"""What a page may hide, and the question about it: {v} is a word, {n} and {m} are numbers."""


@dataclass(frozen=True)
class Story:
    """A conversation and questions about it.

    Attributes:
        kind: ``tools``, ``needle`` or ``tau``.
        goal: The user's first request.
        system: The system message; "" for the style's own.
        turns: The turns since.
        questions: Pairs of a question and the exact answer.
    """

    kind: str
    goal: str
    turns: tuple[Turn, ...]
    questions: tuple[tuple[str, str], ...]
    system: str = ""
    tokens: int = field(default=0, compare=False)

    def prompt(self, style: ConversationStyle, question: str = "") -> Prompt:
        """The conversation as a prompt, with a question behind it."""
        asked = (Turn(role="user", text=question),) if question else ()
        conversation = Conversation(system=self.system, turns=(*self.turns, *asked))
        return conversation_prompt(style, goal=self.goal, rules=(), conversation=conversation)


def stories(kind: str, split: str, tokens: int, style: ConversationStyle, renderer: Renderer, seed: int) -> Story:
    """Draws one story of about so many tokens.

    Args:
        kind: ``tools`` or ``needle``.
        split: ``dev`` or ``test``.
        tokens: The most tokens of the conversation.
        style: How the model's conversations are worded.
        renderer: Counts tokens.
        seed: The story's number.

    Returns:
        The story.
    """
    draw = random.Random(f"{kind} {split} {seed}")
    words = WORDS[split]
    turns, facts = [], []
    made = _results(draw, words, tokens) if kind == "tools" else _pages(draw, words, FACTS[split])
    spent = 150
    while True:
        pair, fact = next(made)
        if not pair:
            break
        cost = len(renderer.tokenizer("".join(turn.text + str(turn.calls) for turn in pair))["input_ids"]) + 12
        if spent + cost > tokens:
            break
        spent += cost
        turns += pair
        facts += fact
    turns.append(Turn(role="assistant", text="I have read all of it. What would you like to know?"))
    goals = {
        "tools": "Look up everything that we need for the journey, then answer my questions about it.",
        "needle": "Read the travel guide page by page, then answer my questions about it.",
    }
    draw.shuffle(facts)
    return Story(kind, goals[kind], tuple(turns), tuple(facts), tokens=spent)


def _results(
    draw: random.Random, words: dict[str, tuple[str, ...]], tokens: int
) -> Iterator[tuple[list[Turn], list[Any]]]:
    fields = ("reference", "phone", "room", "price", "pin", "gate", "seat", "floor", "locker", "year")
    lines = max((tokens // len(words["tools"]) - 150) // 26, 1)  # a line has about 26 tokens
    for tool in draw.sample(words["tools"], len(words["tools"])):
        city, known = draw.choice(words["cities"]), draw.sample(fields, 4)
        record: dict[str, Any] = {"city": city, "manager": draw.choice(words["names"])}
        record |= {f"{tool}_{name}": draw.randrange(100, 10000) for name in known}
        record["notes"] = " ".join(_line(draw, words) for _ in range(lines))
        field = f"{tool}_{draw.choice(known)}"
        call = Turn(role="assistant", calls=(Call(tool=f"find_{tool}", arguments={"city": city}),))
        question = f"What is the {field}? Answer with the value only."
        yield [call, Turn(role="tool", tool=f"find_{tool}", text=json.dumps(record))], [(question, str(record[field]))]
    while True:
        yield [], []


def _pages(
    draw: random.Random, words: dict[str, tuple[str, ...]], hidden: tuple[tuple[str, str], ...]
) -> Iterator[tuple[list[Turn], list[Any]]]:
    left = draw.sample(hidden, len(hidden))
    page = 0
    while True:
        page += 1
        lines = [_line(draw, words) for _ in range(9)]
        facts = []
        if page % 2 and left:
            said, question = left.pop()
            value = {"v": draw.choice(words["values"]), "n": draw.randrange(100, 10000), "m": draw.randrange(100, 1000)}
            lines.insert(draw.randrange(len(lines)), said.format(**value))
            slots = said[said.index("{") : said.rindex("}") + 1]
            facts = [(question + " Answer with the value only.", slots.format(**value))]
        call = Turn(role="assistant", calls=(Call(tool="read_page", arguments={"page": page}),))
        yield [call, Turn(role="tool", tool="read_page", text=" ".join(lines))], facts


def _line(draw: random.Random, words: dict[str, tuple[str, ...]]) -> str:
    return (
        f"The {draw.choice(words['things'])} of {draw.choice(words['cities'])} {draw.choice(words['verbs'])} the "
        f"{draw.choice(('old', 'new', 'small', 'long', 'quiet'))} {draw.choice(words['things'])}, and "
        f"{draw.choice(words['names'])} visits it in {draw.choice(('spring', 'summer', 'autumn', 'winter'))}."
    )


def tau_stories(path: Path, split: str, count: int, style: ConversationStyle, renderer: Renderer) -> list[Story]:
    """Takes recorded episodes of tau-bench's airline agent, with questions about single values in tool results.

    A value is asked for where it occurs once in the conversation, in the result that is asked about.

    Args:
        path: ``gpt-4o-airline.json`` of tau-bench.
        split: ``dev`` takes odd tasks, ``test`` even ones.
        count: The number of episodes.
        style: How the model's conversations are worded.
        renderer: Counts tokens.

    Returns:
        The stories, the longest episodes first.
    """
    found, seen = [], set()
    for episode in json.loads(path.read_text()):
        task = episode["task_id"]
        if task in seen or (task % 2 == 0) != (split == "test"):
            continue
        story = _tau_story(episode["traj"])
        if story is not None and len(story.questions) >= 2:
            seen.add(task)
            size = len(renderer.render(story.prompt(style)).ids)
            found.append(Story(story.kind, story.goal, story.turns, story.questions, story.system, size))
    return sorted(found, key=lambda one: -one.tokens)[:count]


_ASKED = {
    ("address", "address1"): "What is the first line of {who}'s address?",
    ("address", "zip"): "What is the zip code of {who}'s address?",
    ("email",): "What is {who}'s e-mail address?",
    ("dob",): "What is {who}'s date of birth?",
}


def _tau_story(messages: list[dict[str, Any]]) -> Story | None:
    whole = json.dumps(messages)
    turns: list[Turn] = []
    questions: list[tuple[str, str]] = []
    names: dict[str, str] = {}
    for message in messages[2:]:
        text = message.get("content") or ""
        if message["role"] == "tool":
            turns.append(Turn(role="tool", tool=message["name"], text=text))
            questions += _questions(message["name"], text, whole)
        elif message["role"] == "assistant":
            calls = []
            for call in message.get("tool_calls") or ():
                names[call["id"]] = call["function"]["name"]
                calls.append(Call(tool=call["function"]["name"], arguments=json.loads(call["function"]["arguments"])))
            turns.append(Turn(role="assistant", text=text, calls=tuple(calls)))
        elif message["role"] == "user":
            turns.append(Turn(role="user", text=text))
    while turns and (turns[-1].role != "assistant" or turns[-1].calls):
        turns.pop()
    if messages[0]["role"] != "system" or not turns:
        return None
    return Story("tau", messages[1]["content"], tuple(turns), tuple(questions), messages[0]["content"])


def _questions(tool: str, text: str, whole: str) -> list[tuple[str, str]]:
    try:
        record = json.loads(text)
    except ValueError:
        return []
    found = []
    if tool == "get_user_details" and isinstance(record, dict):
        who = " ".join(record["name"].values())
        for path, question in _ASKED.items():
            value: Any = record
            for key in path:
                value = value[key]
            if whole.count(str(value)) == 1:
                found.append((question.format(who=who) + " Answer with the value only.", str(value)))
    if tool == "get_reservation_details" and isinstance(record, dict):
        name = record["reservation_id"]
        for passenger in record["passengers"]:
            if whole.count(passenger["dob"]) == 1:
                who = f"{passenger['first_name']} {passenger['last_name']}"
                asked = f"What is the date of birth of {who} in reservation {name}? Answer with the date only."
                found.append((asked, passenger["dob"]))
        if whole.count(record["created_at"]) == 1:
            found.append((f"When was reservation {name} created? Answer with the value only.", record["created_at"]))
    return found
