"""Foreign text on a terminal, secrets, bounded quotes, and files of any origin."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from homeostat.data_files import DataError, parse_json, parse_yaml, read_text, read_yaml
from homeostat.foreign_text import quoted, shown, visible
from homeostat.private_files import make_private_folder, write_private
from homeostat.redaction import redact, redact_data, redacting

HOSTILE = [
    "\x1b[2J",
    "\x1b]0;title\x07",
    "\x1b]52;c;QQ==\x07",
    "\x9b31m",
    "\r",
    "\x08",
    "\u202egnp.exe",
    "\u2066",
    "\u200b",
    "\x00",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_no_control_character_reaches_the_terminal(text: str) -> None:
    for lines in (False, True):
        out = shown(f"a{text}b\nc", lines=lines)
        assert all(ch.isprintable() or (lines and ch == "\n") for ch in out)
        assert out.startswith("a\\u00") or out.startswith("a\\u2")
        assert ("\n" in out) is lines
    assert visible("plain, ünïcode 漢字 🙂") == "plain, ünïcode 漢字 🙂"
    data = json.dumps({"x": f"é{text}"}, ensure_ascii=False)
    assert json.loads(visible(data)) == {"x": f"é{text}"}


def luhn(number: str) -> bool:
    """The checksum as ISO/IEC 7812-1 words it, written independently: double every second digit from the right."""
    total = 0
    for n, digit in enumerate(reversed(number)):
        total += sum(map(int, str(int(digit) * (1 + n % 2))))
    return total % 10 == 0


SECRETS = {
    "API key": [
        "sk-proj-" + "a1B2" * 8,
        "ghp_" + "Ab1" * 12,
        "AIza" + "x" * 35,
        "hf_" + "Q" * 34,
        "xoxb-1234567890-abc",
    ],
    "AWS key": ["AKIAIOSFODNN7EXAMPLE"],
    "token": ["eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abcdefghijk"],
    "card number": ["4111 1111 1111 1111", "5555555555554444", "3782-822463-10005", "6011111111111117"],
}


@pytest.mark.parametrize(("kind", "secret"), [(kind, secret) for kind, found in SECRETS.items() for secret in found])
def test_secrets_of_known_forms_are_redacted(kind: str, secret: str) -> None:
    assert redact(f"use {secret} now") == f"use [redacted: {kind}] now"
    assert redact_data({"a": [secret, 4111111111111111]}) == {"a": [f"[redacted: {kind}]", 4111111111111111]}
    if kind == "card number":
        assert luhn("".join(filter(str.isdigit, secret)))
    with redacting(False):
        assert redact(secret) == secret


def test_secrets_with_a_context_are_redacted() -> None:
    assert redact("Authorization: Bearer abcdef0123456789.xyz") == "Authorization: Bearer [redacted: token]"
    assert redact("see https://ann:s3cret@host/x") == "see https://[redacted: password]@host/x"
    key = "-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc+/=\n-----END RSA PRIVATE KEY-----"
    assert redact(f"a {key} b") == "a [redacted: private key] b"


@pytest.mark.parametrize(
    "text",
    [
        *("4111 1111 1111 1112", "1234567890123456", "call +49 170 1234567890", "0.4111111111111111", "sk-short"),
        *("2026-11-30 07:56:44", "f4111111111111111a", "https://host:8080/path@2x", "task-sk-1", "1700000000000"),
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact(text) == text


def test_quotes_are_bounded_and_like_repr() -> None:
    for value in ("it's", 3, [1, "a"], {"b": 1, "a": (2, None)}, 1.5):
        assert quoted(value) == repr(value)
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    for value in ("x" * 10**7, deep, 10**5000, list(range(10**6)), {"\x1b" * 999: 1}, float("nan")):
        text = quoted(value)
        assert len(text) <= 100
        assert text.isprintable()
    while deep:  # else its own deallocation recurses
        deep = deep.pop()  # type: ignore[assignment]


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{','.join([f'*{chr(97 + n)}'] * 9)}]\n" for n in range(8)
)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (BOMB, "aliases"),
        ("[" * 10_000, "nested"),
        ("a: &a [*a]", "contains itself"),
        ("- x\n" * 40_000, "more than"),
        ("x" * 300_000, "more than"),
        ("episodes: " + "9" * 5000, "digits"),
        ("day: 2001-99-99", "month"),
        ("a: !!python/object/apply:os.system [ls]", "line 1: could not determine a constructor"),
        ("a: [1\nb: 2", "line 2"),
    ],
)
def test_no_yaml_exhausts_time_or_memory(text: str, why: str) -> None:
    begun = time.process_time()
    with pytest.raises(DataError, match=why) as caught:
        parse_yaml(text)
    assert time.process_time() - begun < 1
    assert len(str(caught.value)) < 250


def test_yaml_keeps_aliases_that_are_small() -> None:
    assert parse_yaml("a: &x [1, 2]\nb: *x\nc: {<<: {d: 1}, e: 2}") == {"a": [1, 2], "b": [1, 2], "c": {"d": 1, "e": 2}}
    assert parse_yaml("") is None


def test_files_that_are_no_data_are_named_with_a_reason(tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes(b"caf\xe9")
    (tmp_path / "bom").write_bytes(b"\xef\xbb\xbfa: 1")
    with pytest.raises(DataError, match="not UTF-8"):
        read_text(tmp_path / "latin")
    assert read_yaml(tmp_path / "bom") == {"a": 1}
    with pytest.raises(DataError, match="No such file"):
        read_text(tmp_path / "none")
    with pytest.raises(DataError, match="more than"):
        read_text(Path("/dev/zero"))
    with pytest.raises(DataError, match="nested"):
        parse_json("[" * 100_000)
    with pytest.raises(DataError, match="digits"):
        parse_json("9" * 5000)


def test_private_files_are_the_owners_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        make_private_folder(tmp_path / "a" / "b")
        write_private(tmp_path / "a" / "b" / "c", b"x")
    finally:
        os.umask(before)
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "a" / "b" / "c").stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path / "a" / "b") == ["c"]
