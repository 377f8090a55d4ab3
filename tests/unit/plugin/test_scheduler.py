"""While others are being answered, a prompt is read only up to its first image that is not encoded.

The decision is asked of vLLM's own method, on real requests and a real encoder cache; the rest of a scheduler
needs an engine, and is tested with one in tests/e2e.
"""

from functools import partial
from types import SimpleNamespace

import pytest
import torch
from vllm import SamplingParams
from vllm.multimodal.inputs import MultiModalFeatureSpec, PlaceholderRange
from vllm.v1.core.encoder_cache_manager import EncoderCacheManager
from vllm.v1.request import Request, RequestStatus

from phiserve.plugin import scheduler as module
from phiserve.plugin.model import tower_input
from phiserve.plugin.partial_encoding import Encoding, PartialEncoder
from phiserve.plugin.processor import image_id_of, image_item
from phiserve.plugin.scheduler import PartialEncodingScheduler

TEXT_TOKENS, IMAGE_TOKENS = 10, 20
BUDGET = 1000


def request(name: str, *keys: str) -> Request:
    """Ten tokens of text, then an image of twenty tokens for each key, with ten tokens of text after each."""
    features = [
        MultiModalFeatureSpec(
            data=image_item(torch.zeros(1, 336, 336, 3, dtype=torch.uint8), (336, 336), key),
            modality="image",
            identifier=key,
            mm_position=PlaceholderRange(TEXT_TOKENS + index * (IMAGE_TOKENS + TEXT_TOKENS), IMAGE_TOKENS),
        )
        for index, key in enumerate(keys)
    ]
    ids = [1] * (TEXT_TOKENS + len(keys) * (IMAGE_TOKENS + TEXT_TOKENS))
    return Request(name, ids, SamplingParams(max_tokens=5), None, mm_features=features)


def answered() -> Request:
    """One whose prompt has been read: a client reads its tokens."""
    result = request("answered")
    result.num_computed_tokens = result.num_prompt_tokens
    return result


class CountingTower:
    """Stands for CLIP: counts the crops, of whose features only the number matters here."""

    def __init__(self) -> None:
        self.num_crops = 0

    def __call__(self, crops: torch.Tensor) -> Encoding:
        self.num_crops += len(crops)
        yield "all"
        return crops


@pytest.fixture
def tower() -> CountingTower:
    return CountingTower()


@pytest.fixture
def encoder(tower: CountingTower, monkeypatch: pytest.MonkeyPatch) -> PartialEncoder:
    """What the scheduler of a process shares with a worker that runs there."""
    result = PartialEncoder()
    result.start(tower, slice_s=0.0)
    monkeypatch.setattr(module, "PARTIAL_ENCODER", result)
    return result


def scheduler(*running: Request) -> PartialEncodingScheduler:
    """A scheduler of these requests, with no more than what the decision reads."""
    result = PartialEncodingScheduler.__new__(PartialEncodingScheduler)
    result.running = list(running)
    result.is_encoder_decoder = False
    result.scheduler_config = SimpleNamespace(disable_chunked_mm_input=False)
    result.encoder_cache_manager = EncoderCacheManager(cache_size=1000)
    result.ec_connector = None
    return result


def decided(
    subject: PartialEncodingScheduler, reading: Request, new_tokens: int = 100
) -> tuple[list[int], int]:
    """Which images the next step would encode, and how many of the prompt's next tokens it would read."""
    images, num_tokens, *_ = subject._try_schedule_encoder_inputs(
        reading, reading.num_computed_tokens, new_tokens, BUDGET
    )
    return images, num_tokens


def advance(encoder: PartialEncoder) -> None:
    """As far as an image of one crop has to come: its input, its features."""
    encoder.advance()
    encoder.advance()


def test_only_the_text_before_an_image(tower: CountingTower, encoder: PartialEncoder) -> None:
    """Then nothing at all until the image is complete, and then its tokens with the rest."""
    reading = request("reading", "a")
    subject = scheduler(answered(), reading)
    assert decided(subject, reading) == ([], TEXT_TOKENS)
    reading.num_computed_tokens = TEXT_TOKENS
    assert decided(subject, reading, 30) == ([], 0)
    advance(encoder)
    assert tower.num_crops == 1
    assert decided(subject, reading, 30) == ([0], 30)


def test_up_to_the_second_image(encoder: PartialEncoder) -> None:
    """The first one is complete: its tokens are read, and the second becomes active."""
    reading = request("reading", "a", "b")
    first, second = (image_id_of(feature.data) for feature in reading.mm_features)
    encoder.request(first, partial(tower_input, torch.zeros(1, 336, 336, 3), (336, 336)))
    advance(encoder)
    encoder.begin_step()
    assert decided(scheduler(answered(), reading), reading) == ([0], 40)
    advance(encoder)
    assert encoder.is_complete(second)


def test_images_of_batch_work(encoder: PartialEncoder) -> None:
    """Hold up nobody who may come next; until they are ready, no line begins that may find them in the prefix
    cache then.
    """
    reading = request("reading", "a")
    reading.priority = 1
    assert decided(scheduler(), reading, 40) == ([], 0)
    reading.status = RequestStatus.RUNNING
    assert decided(scheduler(reading), reading, 40) == ([], TEXT_TOKENS)
    advance(encoder)
    encoder.begin_step()
    several = request("several", "a", "b")
    several.priority = 1
    assert decided(scheduler(), several) == ([0], TEXT_TOKENS + IMAGE_TOKENS + TEXT_TOKENS)


@pytest.mark.usefixtures("encoder")
def test_what_vllm_has_encoded() -> None:
    """An image in vLLM's own cache is ready."""
    reading = request("reading", "a")
    subject = scheduler(answered(), reading)
    subject.encoder_cache_manager.allocate(request("earlier", "a"), 0)
    assert decided(subject, reading, 40) == ([], 40)


def test_nobody_else_is_answered(tower: CountingTower, encoder: PartialEncoder) -> None:
    """Alone, or among prompts that are being read, an image is encoded whole in its step: nobody waits."""
    reading = request("reading", "a")
    assert decided(scheduler(reading), reading, 40) == ([0], 40)
    assert decided(scheduler(reading, request("another", "b")), reading, 40) == ([0], 40)
    encoder.advance()
    assert tower.num_crops == 0


def test_no_worker_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU: nobody would encode the image, so that the prompt would wait for ever."""
    monkeypatch.setattr(module, "PARTIAL_ENCODER", PartialEncoder())
    reading = request("reading", "a")
    assert decided(scheduler(answered(), reading), reading, 40) == ([0], 40)
