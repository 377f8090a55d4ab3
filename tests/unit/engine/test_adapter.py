"""The adapter around a scripted AsyncLLM: vLLM's failures become ours, and nothing is left behind."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from typing import Any

import llguidance
import numpy as np
import pytest
from llguidance import LLMatcher, LLTokenizer
from vllm.config import StructuredOutputsConfig
from vllm.exceptions import QueueOverflowError, VLLMValidationError
from vllm.v1.engine.exceptions import EngineDeadError, EngineGenerateError

from phiserve.constraints import lark
from phiserve.constraints.constraint import Constraint
from phiserve.core import Conversation, GenerationRequest, SamplingOptions
from phiserve.engine.adapter import MAX_REASON_CHARACTERS, Engine
from phiserve.engine.crop_budget import CropBudget
from phiserve.engine.interface import Delta, EngineHealth, Generation, PromptImage
from phiserve.errors import (
    MAX_ECHO_CHARACTERS,
    EngineEnded,
    EngineFailure,
    EngineUnavailable,
    InvalidRequest,
    Overloaded,
    RequestError,
)
from phiserve.protocol.chat import ChatCompletionRequest
from phiserve.protocol.translation import to_generation_request
from phiserve.vision.crops import Crops
from phiserve.vision.sizes import plan_crops
from scripted_llm import Script, ScriptedLLM, output

GREEDY = SamplingOptions(temperature=0)


def request(**options: Any) -> GenerationRequest:
    """A request with these options, whose prompt is somebody else's affair."""
    return GenerationRequest("r", Conversation(()), **options)


def run(llm: ScriptedLLM, images: tuple[PromptImage, ...] = (), **fields: Any) -> list[Delta]:
    """All deltas of one request."""

    async def collect() -> list[Delta]:
        engine = Engine(llm, CropBudget(2**30, 60))
        admission = await engine.admit(request(**fields))
        generation = Generation("r", [1, 2, 3], images, admission, 5)
        async with aclosing(engine.generate(generation)) as deltas:
            return [delta async for delta in deltas]

    return asyncio.run(collect())


def failing(error: Exception) -> Script:
    async def script(attempt: int) -> AsyncGenerator[Any, None]:
        raise error
        yield

    return script


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (VLLMValidationError("bad", parameter="stop"), InvalidRequest),
        (QueueOverflowError(), Overloaded),
        (EngineDeadError(), EngineEnded),
        (EngineGenerateError(), EngineFailure),
    ],
)
def test_failures_are_ours_and_leave_nothing(error: Exception, expected: type[RequestError]) -> None:
    """Each of vLLM's exceptions has a class of ours; a request that failed before any output is aborted, lest
    it be counted.
    """
    llm = ScriptedLLM(failing(error))
    with pytest.raises(expected) as caught:
        run(llm)
    assert llm.aborted == llm.started == ["r-first"]
    if isinstance(error, VLLMValidationError):
        assert (caught.value.reason, caught.value.param) == ("bad", "stop")


def test_a_long_reason_is_cut() -> None:
    """vLLM repeats a value whole, however long it is."""
    error = VLLMValidationError(f"not an id: {'7' * 100_000}", parameter="p" * 100_000)
    with pytest.raises(InvalidRequest) as caught:
        run(ScriptedLLM(failing(error)))
    assert caught.value.reason.startswith("not an id: 777")
    assert (len(caught.value.reason), len(caught.value.param or "")) == (
        MAX_REASON_CHARACTERS,
        MAX_ECHO_CHARACTERS,
    )


def test_greedy_choices_are_copied() -> None:
    """One sequence runs, and every choice gets its deltas."""

    async def script(attempt: int) -> AsyncGenerator[Any, None]:
        yield output("a", ids=(7,))
        yield output("b", finish="stop")

    deltas = run(ScriptedLLM(script), num_choices=3, sampling=GREEDY)
    assert [(delta.index, delta.text) for delta in deltas] == [
        (0, "a"),
        (1, "a"),
        (2, "a"),
        (0, "b"),
        (1, "b"),
        (2, "b"),
    ]


CONSTRAINT = Constraint('start: "a"', "response_format")


@pytest.mark.parametrize(
    ("constraint", "reason", "named"),
    [(None, "error", False), (CONSTRAINT, "abort", False), (CONSTRAINT, "error", True)],
)
def test_the_constraint_is_named(constraint: Constraint | None, reason: str, named: bool) -> None:
    """As the likely cause of an error, where there is one."""

    async def script(attempt: int) -> AsyncGenerator[Any, None]:
        yield output(finish=reason)

    with pytest.raises(EngineFailure) as caught:
        run(ScriptedLLM(script), constraint=constraint)
    assert ("what its answer must look like" in caught.value.reason) is named


@pytest.mark.parametrize("reason", ["error", "abort"])
def test_text_requests_are_not_retried(reason: str) -> None:
    """Only an image can be missing; anything else that ends with "error" or "abort" is a failure."""

    async def script(attempt: int) -> AsyncGenerator[Any, None]:
        yield output(finish=reason)

    llm = ScriptedLLM(script)
    with pytest.raises(EngineFailure):
        run(llm)
    assert len(llm.started) == 1


def image(loads: list[str]) -> PromptImage:
    """An image that records when its pixels are loaded."""

    async def load() -> Crops:
        loads.append("x")
        return np.zeros((1, 336, 336, 3), np.uint8)

    return PromptImage("key", plan_crops(9, 9, 1), 1, load)


def test_missing_images_are_sent_again_once() -> None:
    """The first answer says that the engine lacks the image; the second attempt carries the pixels."""
    loads: list[str] = []

    async def script(attempt: int) -> AsyncGenerator[Any, None]:
        yield output(finish="error") if attempt == 1 else output("ok", finish="stop")

    llm = ScriptedLLM(script)
    assert [delta.text for delta in run(llm, (image(loads),))] == ["ok"]
    assert llm.started == ["r-first", "r-retry"]

    async def never(attempt: int) -> AsyncGenerator[Any, None]:
        yield output(finish="error")

    with pytest.raises(EngineFailure):
        run(ScriptedLLM(never), (image(loads),))


@pytest.mark.parametrize(
    "outputs",
    [(output("half"), output(finish="error")), (output("half", finish="error", ids=(7,)),)],
    ids=["streamed", "whole"],
)
def test_nothing_is_retried_once_there_was_a_token(outputs: tuple[Any, ...]) -> None:
    """A failure in mid-answer is told, not repeated from the start."""

    async def script(attempt: int) -> AsyncGenerator[Any, None]:
        for item in outputs:
            yield item

    llm = ScriptedLLM(script)
    with pytest.raises(EngineFailure):
        run(llm, (image([]),))
    assert len(llm.started) == 1


def test_admission() -> None:
    """Tells how many sequences will run: greedy choices are one. A full engine refuses."""
    llm = ScriptedLLM(failing(AssertionError()))
    engine = Engine(llm, CropBudget(2**30, 60))
    assert asyncio.run(engine.admit(request(num_choices=3))).sequences == 3
    assert asyncio.run(engine.admit(request(num_choices=5, sampling=GREEDY))).sequences == 1
    llm.full = True
    with pytest.raises(Overloaded):
        asyncio.run(engine.admit(request()))


def test_health() -> None:
    """Lost once vLLM has seen its process end."""
    llm = ScriptedLLM(failing(AssertionError()))
    engine = Engine(llm, CropBudget(2**30, 60))
    assert engine.health == EngineHealth("serving")
    llm.errored = True
    assert engine.health == EngineHealth("lost", "The engine no longer answers")


def test_constraints_are_compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process, and by `constraints`: neither admission nor vLLM, as the request is sent, does so
    again.
    """
    compiled: list[str] = []

    class CountingMatcher:
        """Stands for llguidance's class wherever a grammar is compiled with it."""

        def __new__(cls, tokenizer: LLTokenizer, grammar: str, **options: Any) -> Any:
            compiled.append(grammar)
            return LLMatcher(tokenizer, grammar, **options)

        @staticmethod
        def validate_grammar(grammar: str, tokenizer: LLTokenizer | None = None) -> str:
            compiled.append(grammar)
            return LLMatcher.validate_grammar(grammar, tokenizer)

    for module in (llguidance, lark):
        monkeypatch.setattr(module, "LLMatcher", CountingMatcher)

    async def script(attempt: int) -> AsyncGenerator[Any, None]:
        yield output(finish="stop")

    class Verifying(ScriptedLLM):
        async def generate(
            self, engine_input: Any, params: Any, request_id: str, **options: Any
        ) -> AsyncGenerator[Any, None]:
            params.verify(self.model_config, None, StructuredOutputsConfig(backend="guidance"), None)
            assert params.structured_outputs.grammar == compiled[0]
            async for item in super().generate(engine_input, params, request_id):
                yield item

    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "null"}}}
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "response_format": form}
    chat = ChatCompletionRequest.model_validate(body)
    run(Verifying(script), constraint=to_generation_request(chat).constraint)
    assert len(compiled) == 1


def test_other_parameters_of_constrained_requests() -> None:
    """Are verified as ever, though the constraint is not."""
    constraint = Constraint("start: nowhere", "response_format")
    sampling = SamplingOptions(logit_bias={32064: 1.0})
    with pytest.raises(InvalidRequest) as caught:
        run(ScriptedLLM(failing(AssertionError())), constraint=constraint, sampling=sampling)
    assert caught.value.param == "logit_bias"


def test_ping_is_timed_and_shared() -> None:
    """An engine loop that hangs is not ready; one that answers is; a dead one never."""

    async def ask(llm: ScriptedLLM, timeout_s: float) -> list[bool]:
        engine = Engine(llm, CropBudget(2**30, 60))
        return await asyncio.gather(*(engine.answers_within(timeout_s) for _ in range(3)))

    llm = ScriptedLLM(failing(AssertionError()))
    assert asyncio.run(ask(llm, 60)) == [True] * 3
    assert llm.pings == 1
    llm.hangs = True
    assert asyncio.run(ask(llm, 0.05)) == [False] * 3
    assert llm.pings == 2
    llm.errored = True
    assert asyncio.run(ask(llm, 60)) == [False] * 3
    assert llm.pings == 2


def test_a_dead_engine_is_given_no_time_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has nothing left to finish, and vLLM would wait for it for seconds. One that runs has its time."""
    for is_dead in (True, False):
        llm, did = ScriptedLLM(failing(AssertionError())), list[str]()
        engine = Engine(llm, CropBudget(2**30, 60))
        monkeypatch.setattr(llm, "shutdown", partial(did.append, "shut down"), raising=False)
        monkeypatch.setattr(engine._process, "kill", partial(did.append, "killed"))
        llm.errored = is_dead
        engine.shutdown()
        assert did == (["killed"] if is_dead else []) + ["shut down"]


def test_what_waited_for_a_dead_engine_decodes_nothing() -> None:
    """A request whose turn at the room comes after the engine's end."""
    llm, loads = ScriptedLLM(failing(AssertionError())), list[str]()
    llm.errored = True
    with pytest.raises(EngineUnavailable) as caught:
        run(llm, (image(loads),))
    assert (type(caught.value), loads) == (EngineUnavailable, [])  # which says that it was not sent
