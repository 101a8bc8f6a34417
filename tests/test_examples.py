"""The examples run as they stand."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
SAYS = {
    "solve_a_task.py": "success: True, after 8 steps",
    "watch_any_model.py": "data ",
    "solve_over_adb.py": "the task's check holds",
    "langchain_agent.py": "attention: system ",
    "langgraph_node.py": "attention: system ",
    "smolagents_agent.py": "attention: system ",
    "pydantic_ai_agent.py": "attention: system ",
}
NEEDS = {"solve_over_adb.py": "adb"}
FRAMEWORKS = {
    "langchain_agent.py": "langchain",
    "langgraph_node.py": "langchain",
    "smolagents_agent.py": "smolagents",
    "pydantic_ai_agent.py": "pydantic_ai",
}


@pytest.fixture(scope="module")
def tiny_text_model(tmp_path_factory, chat_tools):
    """The folder of a random text model of two layers, in the place of the examples' real one."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("tiny")
    tokenizer = chat_tools.make_tokenizer()
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=16384,
        initializer_range=0.3,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda p: p.name)
def test_the_example_runs(path, request):
    program = NEEDS.get(path.name)
    if program is not None and shutil.which(program) is None:
        pytest.skip(f"no {program} on this machine")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        private = {**os.environ, "ANDROID_ADB_SERVER_PORT": str(probe.getsockname()[1])}
    command = [sys.executable, str(path)]
    if path.name in FRAMEWORKS:
        pytest.importorskip(FRAMEWORKS[path.name])
        command.append(str(request.getfixturevalue("tiny_text_model")))
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env=private)
    if program == "adb":
        subprocess.run(["adb", "kill-server"], capture_output=True, timeout=60, check=False, env=private)
    assert done.returncode == 0, done.stderr
    assert SAYS[path.name] in done.stdout
