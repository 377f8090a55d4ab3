"""Images that are being encoded when their requests are aborted, preempted or answered: nothing stays behind.

vLLM's own scheduler with ours in front, on a real configuration; only CLIP and the tokens are made up.
"""

from itertools import count

import pytest
import torch
from vllm import SamplingParams
from vllm.config import VllmConfig
from vllm.multimodal.inputs import MultiModalFeatureSpec, PlaceholderRange
from vllm.v1.core.sched.output import SchedulerOutput
from vllm.v1.request import Request, RequestStatus
from vllm.v1.structured_output import StructuredOutputManager

from phiserve.plugin import scheduler as module
from phiserve.plugin.partial_encoding import Encoding, PartialEncoder
from phiserve.plugin.processor import image_id_of, image_item
from phiserve.plugin.scheduler import PartialEncodingScheduler
from unit.plugin.conftest import BLOCK_TOKENS, kv_cache, say

CROPS = 4
PARTS = 3 * (CROPS + 1)
"""Of an image: three of each crop, and of the global view."""

PREPARED = CROPS + 3
"""Steps until its crops are normalised and the channels of its global view are made."""

IMAGE_TOKENS = 20
ABORTED = RequestStatus.FINISHED_ABORTED


class Engine:
    """A scheduler, and a worker that encodes a part before each step; the model says one token for ever."""

    def __init__(self, config: VllmConfig, encoder: PartialEncoder) -> None:
        manager = StructuredOutputManager(config)
        self.scheduler = PartialEncodingScheduler(config, kv_cache(), manager, block_size=BLOCK_TOKENS)
        self.encoder = encoder
        self.num_parts = 0
        encoder.start(self._tower, slice_s=0.0)
        self._numbers = count()

    def send(self, *images: str, answer: int = 5) -> str:
        """A request that shows these images, ten tokens of text around each."""
        features = [
            MultiModalFeatureSpec(
                data=image_item(torch.zeros(CROPS, 336, 336, 3, dtype=torch.uint8), (672, 672), key),
                modality="image",
                identifier=key,
                mm_position=PlaceholderRange(10 + number * (IMAGE_TOKENS + 10), IMAGE_TOKENS),
            )
            for number, key in enumerate(images)
        ]
        ids = [1] * (10 + len(images) * (IMAGE_TOKENS + 10))
        params = SamplingParams(max_tokens=answer, ignore_eos=True)
        name = f"request {next(self._numbers)}"
        self.scheduler.add_request(Request(name, ids, params, None, mm_features=features, arrival_time=0.0))
        return name

    def step(self) -> SchedulerOutput:
        output = self.scheduler.schedule()
        self.encoder.advance()
        for name, numbers in output.scheduled_encoder_inputs.items():
            for number in numbers:
                self._encode_rest(self.scheduler.requests[name], number)
        say(self.scheduler, output)
        return output

    def steps(self, number: int) -> None:
        for _ in range(number):
            self.step()

    def _encode_rest(self, request: Request, number: int) -> None:
        """As the model does."""
        seen = self.encoder.take(image_id_of(request.mm_features[number].data))
        if seen is None:
            self.num_parts += PARTS
        else:
            rest = seen.finish_begun()  # counts as well
            self.num_parts += 3 * len(rest)

    def _tower(self, crops: torch.Tensor) -> Encoding:
        for part in ("first", "second", "third"):
            yield part
            self.num_parts += len(crops)
        return crops


@pytest.fixture
def engine(config: VllmConfig, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """With a text that is being answered."""
    encoder = PartialEncoder()
    monkeypatch.setattr(module, "PARTIAL_ENCODER", encoder)
    result = Engine(config, encoder)
    result.send(answer=500)
    result.steps(2)
    return result


def test_an_answered_request_leaves_nothing(engine: Engine) -> None:
    """Its image has been encoded part by part, each once, and the text went on in every step."""
    name = engine.send("a")
    outputs = [engine.step() for _ in range(PREPARED + PARTS + 10)]
    assert engine.num_parts == PARTS
    assert all("request 0" in output.num_scheduled_tokens for output in outputs)
    assert name not in engine.scheduler.requests
    assert engine.encoder.images == frozenset()


@pytest.mark.parametrize("steps", [1, *(PREPARED + part for part in (0, 1, 2, 3, 8, PARTS - 1, PARTS))])
def test_an_aborted_request_leaves_nothing(engine: Engine, steps: int) -> None:
    """In the midst of a crop, between crops, and when the image is complete; the text goes on."""
    name = engine.send("a")
    engine.steps(steps)
    assert len(engine.encoder.images) == 1
    engine.scheduler.finish_requests(name, ABORTED)
    assert engine.encoder.images == frozenset()
    encoded = engine.num_parts
    assert "request 0" in engine.step().num_scheduled_tokens
    assert engine.num_parts == encoded <= PARTS


def test_two_requests_share_an_image(engine: Engine) -> None:
    """It is encoded once, and goes on when the one that came first is aborted."""
    first, second = engine.send("a"), engine.send("a")
    engine.steps(PREPARED + 5)
    engine.scheduler.finish_requests(first, ABORTED)
    assert len(engine.encoder.images) == 1
    engine.steps(PREPARED + PARTS + 10)
    assert second not in engine.scheduler.requests
    assert engine.num_parts == PARTS
    assert engine.encoder.images == frozenset()


def test_both_requests_of_an_image_are_aborted(engine: Engine) -> None:
    """At once, as when a client's connection with several choices goes."""
    names = [engine.send("a"), engine.send("a")]
    engine.steps(PREPARED + 5)
    engine.scheduler.finish_requests(names, ABORTED)
    assert engine.encoder.images == frozenset()


def test_preemption_keeps_what_was_encoded(engine: Engine) -> None:
    """The image goes on where it was, when its request has a place again."""
    name = engine.send("a")
    engine.steps(PREPARED + 7)
    assert engine.num_parts == 6 + 1
    engine.scheduler.reset_prefix_cache(reset_running_requests=True)
    assert len(engine.encoder.images) == 1
    engine.steps(PREPARED + PARTS + 10)
    assert name not in engine.scheduler.requests
    assert engine.num_parts == PARTS
    assert engine.encoder.images == frozenset()


def test_an_image_that_vllm_dropped_is_encoded_anew(engine: Engine) -> None:
    """While a request is at it: what its encoder cache held is computed once more, and no more is kept."""
    engine.send("a")
    engine.steps(PREPARED + PARTS + 10)
    engine.scheduler.reset_encoder_cache()
    engine.send("a")
    engine.steps(PREPARED + PARTS + 10)
    assert engine.num_parts == 2 * PARTS
    assert engine.encoder.images == frozenset()


def test_the_end_of_all_requests(engine: Engine) -> None:
    """As before an engine is shut down."""
    engine.send("a")
    engine.send("b", "c")
    engine.steps(PREPARED + 5)
    engine.scheduler.finish_requests(None, ABORTED)
    assert engine.encoder.images == frozenset()
    assert not engine.scheduler.requests
