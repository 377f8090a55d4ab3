"""vLLM's own scheduler with our queue and our steps, on a real configuration; only tokens are made up."""

import pytest
from vllm import SamplingParams
from vllm.config import VllmConfig
from vllm.v1.core.sched.output import SchedulerOutput
from vllm.v1.outputs import ModelRunnerOutput
from vllm.v1.request import Request, RequestStatus
from vllm.v1.structured_output import StructuredOutputManager

from phiserve.plugin import fair_scheduler as module
from phiserve.plugin.fair_queue import OWNER_KEY
from phiserve.plugin.fair_scheduler import FairScheduler
from phiserve.turns import Line
from unit.plugin.conftest import BLOCK_TOKENS, PLACES, kv_cache

FIXED_S, TOKEN_S = 0.004, 0.0004


class Clock:
    """Time passes while a step runs: as much as it has tokens, and a little in any case."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


class Engine:
    """A scheduler whose model says the same token for ever."""

    def __init__(self, config: VllmConfig, clock: Clock) -> None:
        self._clock = clock
        manager = StructuredOutputManager(config)
        self.scheduler = FairScheduler(config, kv_cache(), manager, block_size=BLOCK_TOKENS)
        self.tokens: dict[str, int] = {}

    def send(
        self, name: str, owner: str | None, priority: int = 0, answer: int = 500, prompt: int = 4
    ) -> None:
        params = SamplingParams(max_tokens=answer, ignore_eos=True, extra_args={OWNER_KEY: owner})
        self.scheduler.add_request(
            Request(name, [1] * prompt, params, None, priority=priority, arrival_time=0.0)
        )
        self.tokens[name] = 0

    def step(self) -> SchedulerOutput:
        output = self.scheduler.schedule()
        names = list(output.num_scheduled_tokens)
        sampled = [[5] if self._has_read(name) else [] for name in names]
        self._clock.now += step_s(output.total_num_scheduled_tokens)
        for name, token_ids in zip(names, sampled, strict=True):
            self.tokens[name] += len(token_ids)
        self.scheduler.update_from_output(
            output, ModelRunnerOutput(names, {name: index for index, name in enumerate(names)}, sampled)
        )
        return output

    def _has_read(self, name: str) -> bool:
        request: Request = self.scheduler.requests[name]
        return bool(request.num_computed_tokens >= request.num_tokens)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    result = Clock()
    monkeypatch.setattr(module, "monotonic", result.monotonic)
    return result


@pytest.fixture
def engine(config: VllmConfig, clock: Clock) -> Engine:
    return Engine(config, clock)


def test_a_flood_leaves_another_most_of_the_time(engine: Engine, clock: Clock) -> None:
    """While another owner's answer runs, the flood's streams get a third of the time."""
    flood = [f"a{index}" for index in range(16)]
    for name in flood:
        engine.send(name, "a")
    for _ in range(5):
        engine.step()
    began = clock.now
    engine.send("b", "b")
    while engine.tokens["b"] < 100:
        engine.step()
    alone_s = 100 * step_s(1)
    assert alone_s < clock.now - began < 1.6 * alone_s
    assert min(engine.tokens[name] for name in flood) > 10  # and they go on


def test_who_comes_beside_a_flood_is_alone_at_first(engine: Engine) -> None:
    """A short answer meets no step of the flood's."""
    for index in range(16):
        engine.send(f"a{index}", "a")
    for _ in range(5):
        engine.step()
    engine.send("b", "b")
    for _ in range(10):
        assert engine.step().num_scheduled_tokens.keys() == {"b"}


def test_equals_share_every_step(engine: Engine) -> None:
    """Where owners ask for about the same, large batches serve all of them best."""
    for index in range(9):
        engine.send(f"a{index}", "a")
        engine.send(f"b{index}", "b")
    for _ in range(10):
        assert len(engine.step().num_scheduled_tokens) == PLACES - 2
    engine.send("c", "c")
    assert "c" in engine.step().num_scheduled_tokens  # room stays beside two floods


def test_one_owner_leaves_places_for_others(engine: Engine) -> None:
    """However much of it waits; what waits begins when a place is free."""
    for index in range(PLACES):
        engine.send(f"a{index}", "a", answer=3)
    assert len(engine.step().num_scheduled_tokens) == 16
    engine.send("b", "b")
    assert "b" in engine.step().num_scheduled_tokens
    for _ in range(60):
        engine.step()
    assert engine.tokens["a17"] == 3


def test_steps_stay_short_for_who_comes_next(engine: Engine, clock: Clock) -> None:
    """A flood that is alone for a moment between another's requests reads no more of its prompts at once."""
    for index in range(4):
        engine.send(f"a{index}", "a", prompt=1000)
    assert engine.step().total_num_scheduled_tokens == 2048
    engine.send("b", "b", answer=1)
    while not engine.tokens["b"]:
        assert engine.step().total_num_scheduled_tokens <= 512
    engine.send("a4", "a", prompt=600)
    assert engine.step().total_num_scheduled_tokens <= 512
    clock.now += 1
    engine.send("a5", "a", prompt=1000)
    assert engine.step().total_num_scheduled_tokens > 512


def test_batch_work_comes_last(engine: Engine, clock: Clock) -> None:
    """It takes a fifth of the time beside interactive work, whoever owns either, and all of it otherwise."""
    for index in range(4):
        engine.send(f"batch{index}", "a", priority=1)
    for _ in range(5):
        assert len(engine.step().num_scheduled_tokens) == 4
    engine.send("b", "a")
    begun, began = engine.tokens["batch0"], clock.now
    while engine.tokens["b"] < 200:
        engine.step()
    in_batch_s = (engine.tokens["batch0"] - begun) * step_s(5)
    assert 0.1 < in_batch_s / (clock.now - began) < 0.25


def test_batch_work_awaits_who_asks_again(engine: Engine, clock: Clock) -> None:
    """For a moment after interactive work has ended; then all of the time is the batch's again."""
    engine.send("batch", "a", priority=1)
    engine.step()
    engine.send("b", "a", answer=1)
    while not engine.tokens["b"]:
        engine.step()
    ended = clock.now
    while not engine.step().total_num_scheduled_tokens:
        assert clock.now - ended < 0.05
    assert clock.now - ended > 0.02
    for _ in range(5):
        assert engine.step().total_num_scheduled_tokens == 1


def test_prompts_of_a_batch_make_no_step_long(engine: Engine, clock: Clock) -> None:
    """While others are expected, a step that reads them has as many tokens as fit into its time."""
    for index in range(8):
        engine.send(f"batch{index}", "a", priority=1, prompt=1000)
    assert engine.step().total_num_scheduled_tokens == 512
    assert engine.scheduler.nobody_waits
    engine.send("b", "a", answer=1)
    while not engine.tokens["b"]:
        engine.step()
        assert not engine.scheduler.nobody_waits
    tokens = [engine.step().total_num_scheduled_tokens for _ in range(20)]
    assert any(tokens)
    assert step_s(max(tokens)) < 0.05
    clock.now += 1
    assert engine.step().total_num_scheduled_tokens == 512


def test_the_next_to_begin_is_another_owners(engine: Engine) -> None:
    """Between requests that wait, owners take turns."""
    for index in range(PLACES * 2):
        engine.send(f"a{index}", "a", answer=5)
    engine.step()
    for index in range(3):
        engine.send(f"b{index}", "b", answer=5)
    engine.step()
    assert engine.tokens.keys() >= {"b0", "b1"}
    assert engine.tokens["b0"]
    assert engine.tokens["b1"]
    assert not engine.tokens["a17"]


def test_what_is_left_out_never_stops_everybody(engine: Engine) -> None:
    """If nobody else can do anything in a step, the next one is for all."""
    for index in range(16):
        engine.send(f"a{index}", "a")
    engine.step()
    engine.send("b", "b")
    engine.scheduler.waiting.head(
        line_of_b := Line(0, "b")
    ).status = RequestStatus.WAITING_FOR_STRUCTURED_OUTPUT_GRAMMAR
    engine.scheduler.waiting.head(line_of_b).structured_output_request = NeverCompiled()
    steps = [engine.step().total_num_scheduled_tokens for _ in range(6)]
    assert steps.count(16) >= 3


class NeverCompiled:
    """Stands for a constraint that is being compiled."""

    grammar = None


def step_s(tokens: int) -> float:
    return FIXED_S + TOKEN_S * tokens
