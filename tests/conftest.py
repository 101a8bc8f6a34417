"""Fixtures that several rooms' tests share."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from homeostat.envs.miniwob import find_binaries, task_names
from homeostat.errors import ConfigError
from tests.hub_double import Hub, hub_double

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.content is string %}{{ m.content }}{% else %}{% for c in m.content %}"
    "{% if c.type == 'image' %}<image>{% else %}{{ c.text }}{% endif %}{% endfor %}{% endif %}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIAL = ["<pad>", "<|im_start|>", "<|im_end|>", "<image>", "<bos>", "<start_of_turn>", "<end_of_turn>"]
CORPUS = [
    "The task: open the settings and turn it on. Done so far: nothing; click the screen, user assistant system rules"
]


def make_tokenizer(template: str = CHATML, **special: str) -> Any:
    """A byte-level BPE tokenizer, trained on a few words; every text round-trips."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=380, initial_alphabet=alphabet, special_tokens=SPECIAL, show_progress=False
    )
    core.train_from_iterator(CORPUS, trainer)
    special = {"eos_token": "<|im_end|>", "pad_token": "<pad>"} | special
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, **special)
    tokenizer.chat_template = template
    return tokenizer


def make_processor(template: str = CHATML) -> Any:
    """LLaVA's processor over SigLIP's image processor in its Pillow form: 32×32 pixels, 16 tokens."""
    from transformers import LlavaProcessor, SiglipImageProcessorPil

    return LlavaProcessor(
        image_processor=SiglipImageProcessorPil(size={"height": 32, "width": 32}),
        tokenizer=make_tokenizer(template),
        patch_size=8,
        vision_feature_select_strategy="full",
        chat_template=template,
    )


@pytest.fixture(scope="session")
def chat_tools() -> Any:
    """What builds tokenizers and processors for chats, for test files (which can't import this one)."""
    return SimpleNamespace(make_tokenizer=make_tokenizer, make_processor=make_processor, CHATML=CHATML)


@pytest.fixture(scope="session")
def chromium():
    """Skips where the browser, its driver or MiniWoB++'s package is missing."""
    try:
        task_names()
        return find_binaries()
    except ConfigError as error:
        pytest.skip(str(error))


class ChatServer:
    """A server that speaks OpenAI's chat completions; ``answer`` says what it replies.

    Attributes:
        answer: From a request and its number (from 0) to a message, a whole body, bytes, or a status with a body.
        models: The models that it lists.
        requests: Every chat request so far.
        keys: The key of every request.
    """

    def __init__(self) -> None:
        self.answer: Callable[[dict[str, Any], int], Any] = lambda request, number: f"answer {number}"
        self.models = ["tiny"]
        self.described: dict[str, Any] = {}
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.gone = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *args: Any) -> None:
                pass

            def do_GET(self) -> None:
                self._send(
                    200,
                    {
                        "object": "list",
                        "data": [{"id": name, "object": "model"} | outer.described for name in outer.models],
                    },
                )

            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.requests.append(request)
                outer.keys.append(self.headers["Authorization"])
                reply = outer.answer(request, len(outer.requests) - 1)
                status, body = reply if isinstance(reply, tuple) else (200, reply)
                self._send(status, outer.completion(body) if isinstance(body, str) else body)

            def _send(self, status: int, body: Any) -> None:
                data = body if isinstance(body, bytes) else json.dumps(body).encode()
                try:
                    self.send_response(status)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(data)))
                    self.send_header("retry-after-ms", "1")
                    self.end_headers()
                    self.wfile.write(data)
                except OSError:
                    outer.gone.set()

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @staticmethod
    def completion(*texts: str | dict[str, Any], **more: Any) -> dict[str, Any]:
        """A whole response with one choice for each text or message."""
        messages = [{"role": "assistant", "content": t} if isinstance(t, str) else t for t in texts]
        choices = [{"index": k, "message": m, "finish_reason": "stop"} | more for k, m in enumerate(messages)]
        usage = {"prompt_tokens": 11, "completion_tokens": 3 * len(texts), "total_tokens": 14}
        return {"id": "1", "object": "chat.completion", "created": 1, "model": "x", "choices": choices, "usage": usage}

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()


@pytest.fixture
def chat_server() -> Iterator[ChatServer]:
    """An OpenAI-compatible server on a free port of this machine."""
    server = ChatServer()
    yield server
    server.close()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """A double of the Hugging Face hub; nothing is logged in, and the local cache is empty."""
    from huggingface_hub import constants

    with hub_double() as double:
        monkeypatch.setattr(constants, "ENDPOINT", double.url)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", double.url + "/{repo_id}/resolve/{revision}/{filename}"
        )
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
            monkeypatch.delenv(name, raising=False)
        yield double
