"""``VLLMEngine``: vLLM's engine behind one event loop, for callers in many threads.

The engine runs in processes of its own. The loop, in a thread of this process, sends every call to it at once, so that
vLLM batches them continuously. Notable choices:

- A call whose deadline passes, or that is cancelled, is aborted in the engine. What has been generated is kept.
- The masses of all calls that have just ended are asked of the workers together, in one message.
- A call ends with a ModelError where the engine has died, and also where it has said nothing for ``silence`` seconds,
  while a call waits for it.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import threading
import time
import weakref
from collections.abc import Mapping
from concurrent.futures import CancelledError
from typing import Any

from homeostat.agent.vllm.engine_call import EngineAnswer, EngineCall, EngineRow
from homeostat.agent.vllm.engine_options import engine_arguments, import_vllm, one_line, quiet_imports
from homeostat.agent.vllm.guard import Guard, children
from homeostat.errors import ConfigError, HomeostatError, ModelError

__all__ = ["VLLMEngine"]

_TICK = 0.1
"""Seconds after which a call looks again whether it has to end."""
_GRACE = 2.0
"""Seconds that a call may go on after its end, to abort it and to fetch what was read of it."""


class VLLMEngine:
    """A running engine whose workers read and steer attention.

    Attributes:
        name: The model's name.
        context: The number of tokens that prompt and answer may have together.
        layers: The number of the model's attention layers.
        heads: The number of their heads.
        backend: The engine's attention backend.
        silence: The most seconds that the engine may say nothing while a call waits for it.
    """

    def __init__(
        self,
        source: str,
        *,
        name: str | None = None,
        dtype: str | None = None,
        revision: str | None = None,
        silence: float = 600.0,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        """Starts the engine, which takes from 20 seconds to some minutes.

        Args:
            source: The model's folder or hub name.
            name: The model's name in messages; None takes ``source``.
            dtype: The type of the weights; None takes the one in which they are stored.
            revision: The version of a hub model; None for the newest.
            silence: The most seconds that the engine may say nothing while a call waits for it.
            options: Further arguments of ``vllm.AsyncEngineArgs``, such as ``max_model_len``.

        Raises:
            ConfigError: vLLM is not installed, an option is wrong, or the engine's mode can't be watched.
            ModelError: The model can't be loaded.
        """
        if not silence > 0:
            raise ConfigError(f"silence={silence!r} is no time to wait for the engine; give a positive number")
        import_vllm()
        self.name, self.silence = name or source, silence
        arguments = engine_arguments(source, dtype, revision, options or {})
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="homeostat-vllm", daemon=True)
        self._thread.start()
        self.context = 0
        self._llm: Any = None
        self._heard = time.monotonic()
        self._wanted: dict[str, asyncio.Future[list[dict[str, Any]]]] = {}
        self._taking: asyncio.Task[None] | None = None
        self._closed = False
        _OPEN.add(self)
        self._guard: Guard | None = None
        before = children()
        try:
            with quiet_imports():
                told = self._wait(self._started(arguments))
        except BaseException:
            self.close()
            raise
        self._guard = Guard(children() - before)
        self.layers, self.backend = int(told[0]["layers"]), str(told[0]["backend"])
        self.heads = sum(int(rank["heads"]) for rank in told)

    def answer(self, asked: EngineCall) -> EngineAnswer:
        """Answers a call. Calls of several threads are answered together.

        Args:
            asked: The call.

        Returns:
            The answers. Those of a call that was ended early have the tokens so far.

        Raises:
            ModelError: The engine has died or hangs, or it refuses the call.
        """
        found: EngineAnswer = self._wait(self._answered(asked))
        return found

    def status(self) -> list[dict[str, int]]:
        """Asks every worker what it holds for the requests that it reads.

        Returns:
            For each rank, the number of open requests, and bytes.

        Raises:
            ModelError: The engine has died or hangs.
        """
        found: list[dict[str, int]] = self._wait(self._asked("homeostat_status"))
        return found

    def close(self) -> None:
        """Ends the engine and its processes. A second call does nothing."""
        if self._closed:
            return
        self._closed = True
        _OPEN.discard(self)
        if self._llm is not None:
            with contextlib.suppress(Exception):
                asyncio.run_coroutine_threadsafe(self._ended(), self._loop).result(10 * _GRACE)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_GRACE)
        if self._guard is not None:
            self._guard.dismiss()

    def _wait(self, work: Any) -> Any:
        """Runs a coroutine in the engine's loop and waits for it."""
        if self._closed:
            work.close()
            raise self._gone()
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except CancelledError:  # close
            raise self._gone() from None
        except BaseException:  # also a Ctrl-C while it is waited for
            future.cancel()
            raise

    async def _started(self, arguments: Any) -> list[dict[str, Any]]:
        from vllm.v1.engine.async_llm import AsyncLLM

        try:
            self._llm = AsyncLLM.from_engine_args(arguments)
        except Exception as error:
            raise ModelError(
                f"vLLM can't load model {self.name!r}: {one_line(error)}; what it wrote above says more"
            ) from None
        told: list[dict[str, Any]] = await self._asked("homeostat_setup")
        if refused := next((rank["refused"] for rank in told if rank["refused"]), ""):
            raise ConfigError(f"{self.name!r}: attention can't be read in this engine: {refused}")
        self.context = int(self._llm.model_config.max_model_len)
        return told

    async def _ended(self) -> None:
        """Ends the engine's processes and drops the client, so that it does nothing more when Python ends."""
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.sleep(0)
        llm, self._llm = self._llm, None
        llm.shutdown(timeout=_GRACE)

    async def _answered(self, asked: EngineCall) -> EngineAnswer:
        rows = [EngineRow() for _ in range(asked.call.rows)]
        cached = [0]
        begun = time.monotonic()
        reader = asyncio.create_task(self._read(asked, rows, cached))
        try:
            while not reader.done() and not asked.over:
                await asyncio.wait({reader}, timeout=min(_TICK, max(asked.left, 0.0)))
                self._check_heard(begun)
        finally:
            if cut := not reader.done():
                reader.cancel()  # vLLM then aborts the request
                await asyncio.wait({reader}, timeout=_GRACE)
        error = None if reader.cancelled() or not reader.done() else reader.exception()
        if error is not None and not asked.over:
            raise self._explained(error) from None
        ranks = None
        if asked.spans is not None:
            try:
                ranks = await self._taken(asked.spans.key, _GRACE if cut else self.silence)
            except ModelError:
                if not cut:
                    raise
        return EngineAnswer(rows, ranks, cached[0])

    async def _read(self, asked: EngineCall, rows: list[EngineRow], cached: list[int]) -> None:
        """Takes in what the engine generates."""
        async with contextlib.aclosing(self._llm.generate(asked.prompt(), asked.params(), asked.key)) as outputs:
            async for output in outputs:
                self._heard = time.monotonic()
                cached[0] = max(cached[0], output.num_cached_tokens or 0)
                for one in output.outputs:
                    for token in rows[one.index].take(one):
                        if asked.on_token is not None and not asked.on_token(one.index, token):
                            return  # which aborts the request

    async def _taken(self, key: str, seconds: float) -> list[dict[str, Any]]:
        """What the workers have read of a call, from each rank."""
        waiting = self._wanted[key] = self._loop.create_future()
        if self._taking is None:
            self._taking = asyncio.create_task(self._take())
        try:
            return await asyncio.wait_for(waiting, seconds)
        except TimeoutError:
            raise self._silent(seconds) from None

    async def _take(self) -> None:
        """Asks for all calls that have ended since the last time, together."""
        while self._wanted:
            wanted, self._wanted = self._wanted, {}
            try:
                ranks = await self._asked("homeostat_take", list(wanted))
                found: dict[str, Any] = {key: [rank[key] for rank in ranks] for key in wanted}
            except Exception as error:
                found = dict.fromkeys(wanted, error)
            for key, waiting in wanted.items():
                if waiting.done():
                    continue
                if isinstance(found[key], Exception):
                    waiting.set_exception(found[key])
                else:
                    waiting.set_result(found[key])
        self._taking = None

    async def _asked(self, method: str, *arguments: Any) -> Any:
        """Calls a method of the extension in every worker."""
        begun = time.monotonic()
        call = asyncio.ensure_future(self._llm.collective_rpc(method, args=arguments))
        try:
            while not call.done():
                await asyncio.wait({call}, timeout=_TICK)
                if self._llm.errored:  # vLLM leaves such calls open when the engine dies
                    raise self._dead()
                self._check_heard(begun)
            self._heard = time.monotonic()
            return call.result()
        except ModelError:
            raise
        except Exception as error:
            raise self._explained(error) from None
        finally:
            call.cancel()

    def _check_heard(self, begun: float) -> None:
        """Raises ModelError where the engine has said nothing for too long."""
        if time.monotonic() - max(begun, self._heard) > self.silence:
            raise self._silent(self.silence)

    def _gone(self) -> ModelError:
        return ModelError(f"{self.name!r}: its engine was closed; load the model again")

    def _silent(self, seconds: float) -> ModelError:
        return ModelError(
            f"{self.name!r}: vLLM's engine has said nothing for {seconds:g} s; it hangs, or it needs more time "
            "(silence=…). Start again; a run goes on with --resume"
        )

    def _dead(self) -> ModelError:
        return ModelError(
            f"{self.name!r}: vLLM's engine has died; what it wrote above says why. Start again; a run goes on with "
            "--resume"
        )

    def _explained(self, error: BaseException) -> Exception:
        """An error of vLLM as one of ours."""
        from vllm.v1.engine.exceptions import EngineDeadError, EngineGenerateError

        if isinstance(error, EngineGenerateError) and error.__cause__ is not None:
            error = error.__cause__
        if isinstance(error, HomeostatError):
            return error
        if isinstance(error, EngineDeadError) or self._llm is None or self._llm.errored:
            return self._dead()
        return ModelError(f"{self.name!r}: vLLM refuses the call: {one_line(error)}")


_OPEN: weakref.WeakSet[VLLMEngine] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    for engine in list(_OPEN):
        engine.close()
