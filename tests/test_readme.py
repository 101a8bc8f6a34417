"""The README's code runs as it is written, and its commands, options, links and entry points exist."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
SMOLLM2 = "HuggingFaceTB/SmolLM2-135M-Instruct"
QWEN = "Qwen/Qwen2.5-Coder-0.5B-Instruct"
QWEN_HERE = Path.home() / ".cache" / "homeostat" / "real-models" / "qwen0.5b"
CONVERTED = Path.home() / ".cache" / "homeostat" / "real-models" / "smollm2"
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def blocks(language: str, heading: str = "") -> list[str]:
    """The code blocks of one language, of one section or of the whole page."""
    text = README
    if heading:
        text = README.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def run_section(heading: str) -> None:
    """Runs a section's Python blocks one after the other, as a reader would."""
    names: dict[str, object] = {"__name__": "__main__"}
    for number, code in enumerate(blocks("python", heading)):
        code = code.replace(SMOLLM2, "smollm2").replace(QWEN, str(QWEN_HERE))
        exec(compile(code, f"README.md, {heading}, block {number + 1}", "exec"), names)


def tiny_model(folder: Path) -> None:
    """Saves a random Llama with a byte-level tokenizer and a chat template."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(alphabet)}, merges=[]))
    tokens.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokens.decoder = decoders.ByteLevel()
    special = {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>", "pad_token": "<|im_end|>"}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=tokens, chat_template=TEMPLATE, **special)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def test_it_opens_with_installation_then_six_lines():
    assert README.index("pip install homeostat") < README.index("## Six lines")
    first = blocks("python")[0]
    assert SMOLLM2 in first
    lines = [line for line in first.split("\n\n")[1].splitlines() if line]
    assert len(lines) == 6
    assert README.split("\n\n")[1].count(". ") == 0  # one sentence says what this is


def test_every_python_block_belongs_to_a_section_that_is_run():
    run = [code for section in ("Six lines", "The agent in Python", "Tools") for code in blocks("python", section)]
    assert blocks("python") == run


def test_the_six_lines_run_on_a_tiny_model(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    tiny_model(tmp_path / "smollm2")
    run_section("Six lines")
    printed = capsys.readouterr().out
    assert "attention: rule " in printed
    assert "Content-Security-Policy" in (tmp_path / "prompt.html").read_text(encoding="utf-8")
    shares = re.findall(r"layer +\d+: +([\d.]+)% of the attention is on the rule", printed)
    assert len(shares) == 3
    assert all(0 < float(share) < 100 for share in shares)


def test_the_six_lines_run_on_smollm2(tmp_path, monkeypatch, capsys):
    if not CONVERTED.is_dir():
        pytest.skip("SmolLM2-135M-Instruct is not on this machine")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "smollm2").symlink_to(CONVERTED)
    run_section("Six lines")
    shares = re.findall(r"layer +\d+: +([\d.]+)% of the attention is on the rule", capsys.readouterr().out)
    assert len(shares) == 30
    assert all(0 < float(share) < 100 for share in shares)


def test_the_agents_blocks_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (spec,) = blocks("yaml", "The agent in Python")
    (tmp_path / "agent.yaml").write_text(spec, encoding="utf-8")
    run_section("The agent in Python")
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "True 8"
    assert "success 8" in said
    assert "True" in said
    assert "['guard', 'decompose', 'remind']" in said


def test_the_tools_run_on_qwen(capsys):
    if not QWEN_HERE.is_dir():
        pytest.skip("Qwen2.5-Coder-0.5B-Instruct is not on this machine")
    run_section("Tools")
    said = capsys.readouterr().out
    turns = [line.split(" | ")[1] for line in said.splitlines() if " | " in line]
    assert all(f"{label} " in turns[0] for label in ("system", "rules", "tools", "goal"))
    assert "tool.find_contact " in turns[1]
    assert "guard refuse rule:never delete anything" in said.splitlines()


def commands() -> list[list[str]]:
    """Every ``homeostat`` command of the page, as words."""
    lines = [line for code in blocks("sh") for line in code.splitlines()]
    lines += re.findall(r"`(homeostat [^`]+)`", README)
    words = [shlex.split(line, comments=True) for line in lines if line.startswith("homeostat ")]
    return [found for found in words if found[1] != "COMMAND"]


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_commands_and_options_exist(words, cli_help):
    text = cli_help(words[1])
    for word in words[2:]:
        if word.startswith("--"):
            assert re.search(rf"{word}\b", text), f"{words[1]} has no option {word}"


@pytest.fixture(scope="module")
def cli_help():
    """The help text of a command, made once for each."""
    from typer.testing import CliRunner

    from homeostat.cli.root import app

    known: dict[str, str] = {}

    def text(command: str) -> str:
        if command not in known:
            result = CliRunner().invoke(app, [command, "--help"])
            assert result.exit_code == 0, result.output
            known[command] = result.output
        return known[command]

    return text


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)]+)\)", README):
        path, _, anchor = target.partition("#")
        assert (ROOT / path).exists(), target
        if anchor:
            titles = re.findall(r"^#+ (.+)$", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}, target


def test_entry_points_and_extras_are_those_of_the_package():
    from homeostat import plugins

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (entries,) = blocks("toml")
    assert all(f"``{group}``" in plugins.__doc__ for group in tomllib.loads(entries)["project"]["entry-points"])
    table = set(re.findall(r"^\| `(\w+)` \| .+ \| .+ \|$", README.split("## Six lines")[0], re.MULTILINE))
    assert table == set(project["optional-dependencies"])


def test_figures_are_those_of_the_evidence():
    evidence = (ROOT / "docs" / "evidence.md").read_text(encoding="utf-8")
    for exact in ("97.5 % [94.3, 98.9]", "87.9 % [83.2, 91.5]", "53.8 % [47.4, 59.9]"):
        assert exact in evidence
    plain = " ".join(README.split())
    assert "98 % of training templates (basic phone), 88 % (all apps), 54 % of unseen templates" in plain
    assert "95 % CI [94, 99], [83, 92] and [47, 60]" in plain
    assert "24 % [18, 30]" in plain
    assert "23.5 % [18.2, 29.8]" in evidence
    assert "9 % [6, 14]" in plain
    assert "9.0 % [5.8, 13.8]" in evidence
    assert "8 % [5, 13]" in plain
    assert "8.0 % [5.0, 12.6]" in evidence
