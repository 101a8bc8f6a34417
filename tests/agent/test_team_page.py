"""The code of docs/design/teams.md runs, and its table of kinds is that of the suite."""

import re
from pathlib import Path

from homeostat.alignment.conflicts.team import TEAM_KINDS

PAGE = (Path(__file__).parents[2] / "docs" / "design" / "teams.md").read_text(encoding="utf-8")


def test_the_code_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (team,) = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    (tmp_path / "team.yaml").write_text(team, encoding="utf-8")
    names: dict[str, object] = {"__name__": "__main__"}
    for code in re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL):
        exec(compile(code, "teams.md", "exec"), names)
    said = capsys.readouterr().out.splitlines()
    assert said[:4] == [
        "planner - Use capital letters.",
        "critic - Use small letters.",
        "executor - LYON",
        "finished LYON",
    ]
    assert said[4] == "You write the answer."
    assert said[-1] == "LYON"


def test_the_table_holds_every_kind():
    section = PAGE.split("## The suite `team`")[1].split("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == set(TEAM_KINDS)
