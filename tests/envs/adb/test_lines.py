"""Lines are cut as a real shell cuts them."""

import random
import shlex
import subprocess

import pytest

from homeostat.envs.adb.lines import LineError, parse

PIECES = [
    "a",
    "bc",
    "'",
    '"',
    "\\",
    " ",
    "  ",
    "$",
    "x",
    "\\ ",
    '\\"',
    "'d e'",
    '"f g"',
    "\\\\",
    "é",
    ",",
    "=",
    '""',
    "#",
]


def words(line):
    return [[w.text({}) for w in c.words] for p in parse(line) for c in p.calls]


def by_sh(lines):
    """What ``sh`` makes of each line's words, None where it can't read it."""
    found = []
    for line in lines:
        script = f'show() {{ for w in "$@"; do printf \'<%s>\' "$w"; done; }}\nshow {line}\n'
        done = subprocess.run(["sh", "-c", script], capture_output=True, check=False, timeout=20)
        found.append(done.stdout.decode() if done.returncode == 0 else None)
    return found


def test_words_are_those_of_a_real_shell():
    rng = random.Random(3)
    lines = ["".join(rng.choice(PIECES) for _ in range(rng.randint(1, 8))) for _ in range(150)]
    lines = [x for x in lines if "$x" not in x and "$a" not in x and "$b" not in x and not x.endswith("\\")]
    refused = 0
    for line, real in zip(lines, by_sh(lines), strict=True):
        try:
            ours = "".join(f"<{w}>" for w in words("show " + line)[0][1:])
        except LineError:
            ours = None
            refused += 1
        assert ours == real, line
    assert 10 < refused < len(lines) - 10


def test_any_text_survives_its_quotes():
    rng = random.Random(4)
    for _ in range(300):
        texts = ["".join(chr(rng.randint(1, 400)) for _ in range(rng.randint(0, 9))) for _ in range(3)]
        assert words(shlex.join(["input", *texts])) == [["input", *texts]]


def test_joins_pipes_and_redirections():
    (one, two, three) = parse("a 'b;c' | grep x > /y 2>> /z && d || e 2>&1")
    assert [[w.text({}) for w in c.words] for c in one.calls] == [["a", "b;c"], ["grep", "x"]]
    assert one.calls[1].out[0].text({}) == "/y"
    assert one.calls[1].err[1] is True
    assert (one.after, two.after, three.after) == (";", "&&", "||")
    assert three.calls[0].merged
    assert words("echo 2 > /f") == [["echo", "2"]]
    assert words("a\n\nb; c # d\ne") == [["a"], ["b"], ["c"], ["e"]]
    assert words("") == words(" \n ") == []


def test_variables_stand_outside_single_quotes():
    (call,) = parse("""echo "$?" '$?' ${HOME}s $HOME""")[0].calls
    assert [w.text({"?": "7", "HOME": "/h"}) for w in call.words] == ["echo", "7", "$?", "/hs", "/h"]


@pytest.mark.parametrize(
    "line", ["'", 'a "b', "a |", "| a", "a && ", "&& a", "; a", "a > ", "a < b", "a | ; b", "a >> ;"]
)
def test_what_no_shell_reads_is_refused(line):
    with pytest.raises(LineError):
        parse(line)
