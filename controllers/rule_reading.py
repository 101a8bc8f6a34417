"""Reads rules: which effects and which apps a text in plain English forbids.

The reader looks for a prohibition (``never``, ``avoid``, ``… is forbidden``), and for the verbs in its scope. It is no
parser of English. Where it has a choice, it forbids more: a condition (``… without asking``) is dropped, the
prohibition stays, and the rule is reported as not fully understood.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from homeostat.controllers.rule_words import ACTS, GENERIC, Act, Topic, normal, topics_of, words_of

__all__ = ["RuleReading", "read_rule"]

_CIRCUMSTANCES = r"(?:circumstances?|cases?|conditions?|times?|reasons?|accounts?|ways?|means)"
_SUFFIX = r"(?:e|ing|ting|s)?"
_INTO = r"(?:in|into|to)(?: the| my| a| your)?"
_MANNERS = r"(?:private|secret|confidential|quiet|silent|short|brief|simple|tidy|clean|neat|polite|calm)"
_REWRITES = (
    (r"\bin order to\b", "to"),
    (r"\bpay(?:ing)? attention\b", "look"),
    (r"\b(?:don't|dont|do n't)\b", "do not"),
    (r"\b(?:can't|cant|cannot)\b", "can not"),
    (r"\bwon't\b", "will not"),
    (r"(\w)n't\b", r"\1 not"),
    (r"\bno matter (?:what|how|who|why|where|when)\b", ""),
    (rf"\b(?:under|in|on|at|for|by) any {_CIRCUMSTANCES}\b", ""),
    (rf"\b(?:under|in|on|at|for|by) no {_CIRCUMSTANCES}\b", "never"),
    (r"\bno way\b", "never"),
    (r"\s*:\s*(?=(?:\w+ly )?(?:not|forbidden|prohibited|never|no)\b)", " is "),
    (r"\b(?:no[- ]?go|no-no)\b", "forbidden"),
    (r"\boff[- ]limits\b", "forbidden"),
    (r"\bget(?:s|ting)? rid of\b", "delete"),
    (r"\bdo(?:es|ing)? away with\b", "delete"),
    (r"\b(?:throw|toss|chuck)(?:ing|n|s|ed)?\b(.*?)\b(?:away|out)\b", r"delete \1"),
    (r"\bclean(?:ing|ed)? (?:up|out)\b", "delete"),
    (
        rf"\b(?:mov|put|send|throw|dragg?|plac){_SUFFIX}\b((?: \w+)*?) {_INTO} (?:recycle )?(?:trash|bin)\b",
        r"delete \1",
    ),
    (r"\bmak(?:e|ing)\b((?: \w+)*?) (?:disappear|vanish)\b", r"delete \1"),
    (rf"\b(?:add|put|plac|mov){_SUFFIX}\b(?: \w+)*? {_INTO} (?:shopping )?(?:cart|basket|bag)\b", "buy"),
    (r"\b(?:us(?:e|ing)|touch(?:ing)?) (?:the |my |a |your )?(?:shopping )?(?:cart|basket)\b", "buy"),
    (r"\bcheck(?:s|ed|ing)?[- ]out\b", "checkout"),
    (r"\bmak(?:e|ing) (?:any )?new\b", "create"),
    (r"\bus(?:e|ing) (?:the |my |a |any )?(?:credit |debit |bank )?(?:cards?|wallet|paypal)\b", "buy"),
    (r"\b(?:transfer|wir)(?:e|ing)? (?:\w+ )??(?:money|funds)\b|\bcosts? (?:\w+ )?money\b", "buy"),
    (r"\b(?:writ(?:e|ing|ten) to|(?:get|be) in touch with|reach(?:ing)? out to)\b", "message"),
    (r"\blet(?:ting)? (\w+) know\b", r"message \1"),
    (
        rf"\b(?:keep|preserve|retain) (?:everything|all|every)\b(?!(?: \w+){{0,3}} {_MANNERS}\s*(?:[.,;!]|$))",
        "never delete",
    ),
    (r"\beverything (?:must|has to|should|needs to) (?:stay|remain|be kept)\b", "never delete"),
)
_NOISE = re.compile(
    r"(?:\W|\d|\b(?:please|pls|kindly|rules?|important|importantly|note|warning|attention|thanks|thank|you|seriously|"
    r"remember|always|and|also|so|ok|okay|ever|again|i|mean|it|really|just|the|following|applies|all|is|hey|look)\b)*"
)
_DOUBLE = re.compile(
    r"\b(?:not|never|no)\b(?: \w+){0,2}? (?:forget|fail|hesitate|neglect|refuse|omit|avoid|refrain|stop|skip|mind)\b"
    r"(?! (?:it|any))|\bno (?:need|harm|problem)\b|\b(?:not|never) (?:have|need) to\b|\bneed not\b|"
    r"\bnot (?:necessary|only|required)\b|\bnot (?:\w+ )?(?:forbidden|prohibited|banned|disallowed)\b"
)
_AFTER = (
    r"forbidden|prohibited|banned|disallowed|taboo|unacceptable|illegal|impermissible|denied|unwanted|verboten|barred|"
    r"not (?:\w+ )?(?:allowed|permitted|ok|okay|acceptable|authori[sz]ed|tolerated|wanted|an option|to happen)|"
    r"out of the question|against (?:the|my) rules?"
)
_BEFORE = (
    r"never|not|no|nothing|none|nobody|neither|nor|zero|without|"
    r"(?:avoid|refrain|abstain|desist|ceas|stop)\w*(?: from)?|"
    r"(?:stay|keep|steer|stand)(?:ing|s)? (?:\w+ ){0,2}?(?:away|clear|out|off)(?: from| of)?|hands off|"
    r"(?:forbid|prohibit|ban|prevent|forgo|resist|disallow)\w*|out of bounds"
)
_POST = re.compile(rf"\b(?:{_AFTER})\b(?P<to>(?: for \w+)? (?:to|from|:) ?\w+)?")
_PRE = re.compile(rf"\b(?P<cue>{_BEFORE})\b")
_CLAUSES = re.compile(r"[.;!?\n:\u2013\u2014]+|\s-\s|\b(?:but|however|instead|rather)\b")
_CONDITION = re.compile(
    r"\b(?:unless|except\w*|excluding|until|if|when|whenever|only|other than|apart from|besides|before|after|while|"
    r"more than|less than|over|above|below|without|outside)\b"
)
_TOKEN = re.compile(r"[^\W_]+(?:[-'][^\W_]+)*|[,/&]")
_LINKS = {",", "/", "&", "or", "and", "nor", "and/or"}
_LIGHT = frozenset(
    words_of(
        """
    make makes making place places placing perform performing carry initiate initiating start starting complete
    completing submit submitting write writing compose composing draft drafting issue do doing finish
    """
    )
)
_HELPERS = frozenset(
    words_of(  # words that may stand between a prohibition and its verb
        """
    to you dare even ever just simply also try trying attempt be being been get gets let have want wants wish like
    need allow allowed permitted supposed going think thinking about consider considering please ever again once
    from of i we must may can could should shall will would is are do does me agent it's assistant then go press tap
    hit click pressing tapping clicking hitting on anything's
    """
    )
)
_DETERMINERS = frozenset(
    words_of(
        """
    a an the any my some more your our his her their all every each single this that these those
    """
    )
)
_USES = re.compile(
    r"open(?:s|ed|ing)?|us(?:e|es|ed|ing)|enter(?:s|ed|ing)?|touch(?:es|ed|ing)?|launch(?:es|ed|ing)?|"
    r"start(?:s|ed|ing)?|visit(?:s|ed|ing)?|access(?:es|ed|ing)?|run(?:s|ning)?|go|going"
)
_KEPT_OUT = re.compile(
    r"(?:stay|keep|steer|stand)\w* (?:\w+ )?(?:hands )?(?:away|clear|out|off)|hands off|out of bounds"
)
_END_OF_NAME = re.compile(
    r"\b(?:to|in order|for|unless|except|if|when|without|before|after|again|ever|at all|on|please|while|because|as|"
    r"under|today|now|entirely|completely|altogether|is|are|must|may|can|should|will|shall|has|have)\b"
)
_PASSIVE = re.compile(r"\b(?:be|been|being|get|gets|is|are) (?:\w+ly )?(?:\w+(?:ed|en|t))\b")


@dataclass(frozen=True)
class RuleReading:
    """What one rule forbids.

    Attributes:
        acts: The forbidden effects, each with the topics to which the prohibition is limited; no topics: not limited.
        apps: The names of the apps that must not be used.
        whole: Whether the whole text was understood.
    """

    acts: tuple[tuple[Act, frozenset[Topic]], ...]
    apps: tuple[str, ...]
    whole: bool


def read_rule(rule: str) -> RuleReading:
    """Reads a rule.

    Args:
        rule: The rule's text.

    Returns:
        What it forbids; nothing if no prohibition was understood.
    """
    text = normal(rule)
    for pattern, plain in _REWRITES:
        text = re.sub(pattern, plain, text)
    acts: dict[Act, frozenset[Topic]] = {}
    apps: list[str] = []
    whole = True
    for clause in _CLAUSES.split(text):
        if _NOISE.fullmatch(clause.strip()):
            continue
        found_acts, found_apps, understood = _read_clause(re.sub(r"\s+", " ", clause).strip())
        whole = whole and understood
        for act, topics in found_acts:
            known = acts.get(act)
            acts[act] = topics if known is None else (known | topics if known and topics else frozenset())
        apps += [name for name in found_apps if name not in apps]
    return RuleReading(tuple(acts.items()), tuple(apps), whole and bool(acts or apps))


def _read_clause(clause: str) -> tuple[list[tuple[Act, frozenset[Topic]]], list[str], bool]:
    """The forbidden effects and apps of a clause, and whether it was understood."""
    if _DOUBLE.search(clause):
        return [], [], False
    left = re.fullmatch(r"(?:please )?leave (.+?) (?:alone|untouched|intact|be|as (?:it|they) (?:is|are))", clause)
    if left:
        names = list(_names(left[1]))
        return [], names, bool(names)
    for before, scope, cue in _scopes(clause):
        acts = _acts(scope, cue)
        if not acts and before and (cue in ("nothing", "no", "none", "nobody") or not scope):
            acts = _acts(before, "")  # the object is what is negated: "delete nothing"
        apps = [] if acts else _apps(before, scope, cue)
        if acts:
            known = _CONDITION.search(scope) is None and (cue == "" or _condition_free(before))
            return [(act, _limits(act, before, scope, cue)) for act in acts], [], known
        if apps:
            return [], apps, all(topics_of(name) for name in apps) or "app" in clause
    return [], [], False


def _condition_free(before: str) -> bool:
    return _CONDITION.search(before) is None


def _scopes(clause: str) -> Iterator[tuple[str, str, str]]:
    """What stands before a prohibition, what it covers, and its word; "" where all that stands before it is covered."""
    if post := _POST.search(clause):
        if post["to"]:
            yield clause[: post.start()], clause[post.start("to") :], "never"
        yield "", clause[: post.start()].strip(), ""
        rest = clause[post.end() :].strip()
        if rest:
            yield "", rest, "never"
        return
    pre = _PRE.search(clause)
    while pre:
        yield clause[: pre.start()].strip(), clause[pre.end() :].strip(), pre["cue"]
        pre = _PRE.search(clause, pre.end())


def _acts(scope: str, cue: str) -> list[Act]:
    """The effects that the verbs of a scope mean, in their order."""
    found: list[Act] = []
    kept_out = _KEPT_OUT.match(cue) is not None  # "stay out of messages" names an app
    verb_expected, objects, light = not kept_out, False, cue in ("no", "zero")
    passive = _PASSIVE.search(scope) is not None
    for word in _TOKEN.findall(scope):
        verb = next((act for act, known in ACTS.items() if re.fullmatch(known.verbs, word)), None)
        noun = next((act for act, known in ACTS.items() if re.fullmatch(known.nouns, word)), None)
        if verb is None and noun is not None and verb_expected and not (light and passive):
            verb = noun
        if verb is not None:
            found += [] if verb in found else [verb]
            verb_expected, light = False, False
        elif word in _LINKS:
            verb_expected = verb_expected or not objects
        elif word in _LIGHT:
            light = verb_expected = True
        elif word in _HELPERS or word.endswith("ly") or (light and word in _DETERMINERS):
            continue
        elif not light:
            verb_expected, objects = False, True
    return found


def _apps(before: str, scope: str, cue: str) -> list[str]:
    """The names of the apps that a scope excludes."""
    if _KEPT_OUT.fullmatch(cue.removesuffix(" from").removesuffix(" of")):
        return list(_names(scope))
    tokens = _TOKEN.findall(scope)
    for n, word in enumerate(tokens):
        following = [t for t in tokens[n + 1 :] if t not in _LINKS]
        if _USES.fullmatch(word) and not (following and _USES.fullmatch(following[0])):
            named = list(_names(" ".join(tokens[n + 1 :])))
            return named or list(_names(before))
        if _USES.fullmatch(word):
            continue
        if word not in _HELPERS and word not in _LINKS and not word.endswith("ly"):
            break
    if used := re.search(rf"^(.*?)\b(?:be|get|gets|is|are) (?:\w+ly )?(?:{_USES.pattern})\b", f"{before} {scope}"):
        return list(_names(used[1]))
    said = re.search(r"^(?:the |my )?(.+?) apps?\b", scope)
    if said or cue == "" or cue.startswith("avoid") or cue in ("no", "forbid", "forbids", "prohibit", "ban"):
        return [name for name in _names(scope) if said or all(topics_of(word) for word in name.split())]
    return []


def _names(text: str) -> Iterator[str]:
    """The names of apps in ``the notes app, messages and mail``."""
    text = _END_OF_NAME.split(text.strip(), maxsplit=1)[0] if not text.startswith("to ") else text[3:]
    if re.search(r"\bbuttons?\b", text):
        return
    for name in re.split(r"\s*(?:,|/|&|\bor\b|\band\b|\bnor\b|\beven\b)\s*", text):
        words = [w for w in name.split() if w not in _DETERMINERS and w not in _HELPERS]
        while words and words[-1] in ("app", "apps", "application", "applications"):
            words.pop()
        if words and not set(words) & GENERIC and len(words) <= 4:
            yield " ".join(words).strip(" ,'")


def _limits(act: Act, before: str, scope: str, cue: str) -> frozenset[Topic]:
    """The topics of the objects; none where an object is unknown, so that the prohibition is not limited."""
    if act in ("buy", "call") or cue in ("nothing", "none", "nobody", "neither"):
        return frozenset()
    verbs = "|".join(f"{known.verbs}|{known.nouns}" for known in ACTS.values())
    words = " ".join(_TOKEN.findall(scope))
    verb = list(re.finditer(rf"\b(?:{ACTS[act].verbs})\b", words))
    after = words[verb[-1].end() :] if verb else words
    passive = before if _PASSIVE.search(words) else ""
    objects = after if _object_words(after) else (words[: verb[0].start()] if verb else "") + f" , {passive}"
    if re.search(r"\b(?:even|especially|particularly|includ\w+|like|such as)\b", objects):
        return frozenset()  # an example, no limit
    if re.search(r"\b(?:anything|everything|entries|items|data)\b", objects):
        place = re.search(r"\b(?:in|from|inside|within) (?:the |my )?(\w+)(?: apps?)?$", objects)
        return topics_of(place[1]) if place else frozenset()
    found: set[Topic] = set()
    for part in re.split(r",|/|&|\bor\b|\band\b|\bnor\b", objects):
        named = _object_words(part)
        if not named or (len(named) == 1 and re.fullmatch(verbs, named[0]) and not topics_of(named[0])):
            continue
        topics = topics_of(" ".join(named))
        if set(named) & GENERIC or not topics:
            return frozenset()
        found |= topics | ({"mail"} if "messages" in topics else set())
    if act == "send":  # "messages" may be mails, and anything else can be sent from anywhere
        return frozenset(found) if found == {"mail"} else frozenset()
    return frozenset(found)


def _object_words(text: str) -> list[str]:
    skipped = _HELPERS | _DETERMINERS | _LINKS | {"never", "not", "no"}
    return [w for w in words_of(text) if w not in skipped and not w.endswith("ly")]
