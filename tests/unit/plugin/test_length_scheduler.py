"""vLLM's own scheduler and prefix cache, on a real configuration; only tokens are made up."""

from pathlib import Path

import pytest
from vllm import SamplingParams
from vllm.config import VllmConfig
from vllm.platforms import current_platform
from vllm.utils.hashing import sha256
from vllm.v1.core.kv_cache_utils import get_request_block_hasher, init_none_hash
from vllm.v1.core.sched.output import SchedulerOutput
from vllm.v1.core.sched.scheduler import Scheduler
from vllm.v1.request import Request
from vllm.v1.structured_output import StructuredOutputManager

from phiserve.plugin.fair_queue import OWNER_KEY
from phiserve.plugin.length_scheduler import LengthScheduler, has_long_factors, switching_length
from unit.plugin.conftest import BLOCK_TOKENS, kv_cache, planned, say

SHORT = 4096
PLACES = 8


@pytest.fixture(scope="module")
def config(checkpoint: Path) -> VllmConfig:
    return planned(checkpoint, max_model_len=2 * SHORT, max_num_seqs=PLACES)


class Engine:
    """A scheduler whose model says the same token for ever."""

    def __init__(self, config: VllmConfig) -> None:
        init_none_hash(sha256)
        self._hasher = get_request_block_hasher(BLOCK_TOKENS, sha256)
        self.scheduler = LengthScheduler(
            config, kv_cache(), StructuredOutputManager(config), block_size=BLOCK_TOKENS
        )

    def send(
        self, name: str, prompt: int, answer: int, salt: str | None = None, said: int = 0, owner: str = "a"
    ) -> Request:
        params = SamplingParams(max_tokens=answer, ignore_eos=True, extra_args={OWNER_KEY: owner})
        ids = [1] * prompt + [5] * said
        request = Request(name, ids, params, None, cache_salt=salt, block_hasher=self._hasher)
        self.scheduler.add_request(request)
        return request

    def step(self) -> SchedulerOutput:
        output = self.scheduler.schedule()
        say(self.scheduler, output)
        return output

    def finish(self, request: Request) -> None:
        while not request.is_finished():
            self.step()


@pytest.fixture
def engine(config: VllmConfig) -> Engine:
    return Engine(config)


def test_by_the_prompt(engine: Engine) -> None:
    """What the prompt is too long for has the long factors from the start, whatever its answer may become."""
    assert not has_long_factors(engine.send("a", SHORT, 4000))
    assert has_long_factors(engine.send("b", SHORT + 1, 1))


def test_an_answer_that_grows_is_read_again(engine: Engine) -> None:
    """Where prompt and answer are one token longer than the short context, and in no step before or after."""
    request = engine.send("a", SHORT - 1, 4)
    beside = engine.send("b", 10, 100)
    while request.num_tokens <= SHORT:
        output = engine.step()
        assert not output.scheduled_cached_reqs.resumed_req_ids
        assert not has_long_factors(request)
    assert (request.num_tokens, request.num_output_tokens) == (SHORT + 1, 2)
    output = engine.step()
    assert has_long_factors(request)
    assert output.scheduled_cached_reqs.resumed_req_ids == {"a"}
    assert output.scheduled_cached_reqs.all_token_ids.keys() == {"a"}
    assert output.num_scheduled_tokens["b"] == 1  # which goes on
    assert not has_long_factors(beside)
    read = output.num_scheduled_tokens["a"]
    while request.num_output_tokens == 2:
        read += engine.step().num_scheduled_tokens["a"]
    assert read == SHORT + 1
    engine.finish(request)
    assert (request.num_output_tokens, request.num_preemptions) == (4, 1)


def test_it_goes_on_in_its_place(engine: Engine) -> None:
    """However many of others wait, and however many places its owner has by now."""
    request = engine.send("a", SHORT - 1, 4)
    for number in range(PLACES - 2):
        engine.send(f"a{number}", 4, 500)
    while not request.num_output_tokens:
        engine.step()
    last, waiting = (engine.send(f"b{number}", 4, 500, owner="b") for number in range(2))
    while request.num_tokens <= SHORT:
        engine.step()
    assert last.num_computed_tokens  # all places are taken
    while request.num_output_tokens == 2:
        engine.step()
        assert has_long_factors(request)
        assert not waiting.num_computed_tokens


def test_nothing_is_read_twice_where_the_answer_ends(engine: Engine) -> None:
    """The last token of an answer is not read, and may be the first beyond the short context."""
    request = engine.send("a", SHORT - 1, 2)
    engine.finish(request)
    assert (request.num_tokens, request.num_preemptions) == (SHORT + 1, 0)


@pytest.mark.parametrize("salt", [None, "0123456789abcdef"])
def test_prefix_caches_are_apart(engine: Engine, salt: str | None) -> None:
    """The same beginning is found among what was read with the same factors, under the same salt alone."""

    def cached(name: str, prompt: int, salt: str | None = salt) -> int:
        request = engine.send(name, prompt, 1, salt)
        num_tokens: int = engine.scheduler.kv_cache_manager.get_computed_blocks(request)[1]
        engine.finish(request)
        return num_tokens

    assert cached("short", SHORT) == 0
    assert cached("long", SHORT + 1) == 0
    assert cached("short again", SHORT) == SHORT - BLOCK_TOKENS
    assert cached("long again", SHORT + 100) == SHORT
    assert cached("another's", SHORT + 1, "fedcba9876543210") == 0


def test_what_grew_is_found_among_the_long(engine: Engine) -> None:
    """An answer that was read again helps the next request about the same, which is long from its start."""
    engine.finish(engine.send("a", SHORT - 1, 4))
    request = engine.send("b", SHORT - 1, 1)
    assert engine.scheduler.kv_cache_manager.get_computed_blocks(request)[1] == SHORT - BLOCK_TOKENS
    engine.finish(request)
    other = engine.send("c", SHORT - 1, 1, said=3)
    assert has_long_factors(other)
    assert engine.scheduler.kv_cache_manager.get_computed_blocks(other)[1] == SHORT


def test_guesses_end_where_the_short_factors_do(engine: Engine) -> None:
    """What is guessed beyond would be judged with the wrong factors."""
    request = engine.send("a", SHORT - 3, 100)
    while not request.num_output_tokens:
        engine.step()
    request.spec_token_ids = [5] * 5
    output = engine.scheduler.schedule()
    assert output.scheduled_spec_decode_tokens == {"a": [5, 5]}
    assert output.num_scheduled_tokens == {"a": 3}


def test_who_has_one_set_of_factors(config: VllmConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """No context beyond the short one, plain RoPE, another scheduler or model runner, a GPU."""
    assert switching_length(config) == SHORT
    with monkeypatch.context() as patch:
        patch.setattr(config.model_config, "max_model_len", SHORT)
        assert switching_length(config) is None
        assert Engine(config).scheduler._short_tokens is None
    with monkeypatch.context() as patch:
        patch.setattr(config.model_config.hf_config, "rope_parameters", {"rope_type": "default"})
        assert switching_length(config) is None
    with monkeypatch.context() as patch:
        patch.setattr(config.scheduler_config, "scheduler_cls", Scheduler)
        assert switching_length(config) is None
    with monkeypatch.context() as patch:
        patch.setattr(VllmConfig, "use_v2_model_runner", True)
        assert switching_length(config) is None
    with monkeypatch.context() as patch:
        patch.setattr(current_platform, "is_cpu", lambda: False)
        assert switching_length(config) is None
