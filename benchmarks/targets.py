"""What must be reached, as ratios to a peer in the same run, and what was."""

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks import batches
from benchmarks.burst import IMAGES, LONG_SLICES, QUIET, REAL, SMALL, STREAMS
from benchmarks.decisions import CHAT, DECISIONS, FIRST, HELD, PART, PHOTO, REAL_PHOTO, Album
from benchmarks.decisions import SMALL as SMALL_IMAGES
from benchmarks.peers import PHISERVE, VLLM
from benchmarks.records import Results
from benchmarks.transformers_runs import BATCH, CLIENTS, NAME, ONE

Ratio = Callable[[Results], float | None]


@dataclass(frozen=True, slots=True)
class Target:
    """`goal` is the least ratio, or with `at_most` the greatest. `basis` says in words what is divided by
    what.
    """

    name: str
    goal: float
    ratio: Ratio
    basis: str
    at_most: bool = False

    def reached(self, ratio: float) -> bool:
        """Whether a measured ratio is as good as it must be."""
        return ratio <= self.goal if self.at_most else ratio >= self.goal


def to_vllm(part: str, workload: str, load: str, measure: str) -> Ratio:
    """Our median over plain vLLM's."""
    return lambda results: divided(
        results.median_of(part, workload, load, PHISERVE, measure),
        results.median_of(part, workload, load, VLLM, measure),
    )


def divided(ours: float | None, theirs: float | None) -> float | None:
    """None where either was not measured."""
    return None if ours is None or not theirs else ours / theirs


def _burst_to_quiet(part: str) -> Ratio:
    return lambda results: divided(
        results.median_of(part, _STREAMS, _BURST, PHISERVE, "itl_p99_ms"),
        results.median_of(part, _STREAMS, QUIET, PHISERVE, "itl_p99_ms"),
    )


def _to_long_slices(results: Results) -> float | None:
    """Our burst's time over the one with slices of a second."""
    ours = results.median_of(REAL, _STREAMS, _BURST, PHISERVE, "burst_s")
    return divided(ours, results.median_of(REAL, _STREAMS, _BURST, LONG_SLICES, "burst_s"))


def _to_transformers(workload: str, load: str) -> Ratio:
    return lambda results: divided(
        results.median_of(NAME, workload, f"{CLIENTS} clients", PHISERVE, "requests_per_s"),
        results.median_of(NAME, workload, load, NAME, "requests_per_s"),
    )


def _as_decisions(album: Album, measure: str, peer: str, way: str) -> Ratio:
    """Our decisions over the same questions asked as chats."""
    return lambda results: divided(
        results.median_of(PART, album.name, DECISIONS, PHISERVE, measure),
        results.median_of(PART, album.name, way, peer, measure),
    )


def _further_to_first(album: Album) -> Ratio:
    """What all questions but the first take, over what the first one takes."""
    return lambda results: divided(
        results.median_of(PART, album.name, FIRST, PHISERVE, "further_s"),
        results.median_of(PART, album.name, FIRST, PHISERVE, "last_answer_s"),
    )


def _decision_targets(album: Album) -> tuple[Target, ...]:
    """What is wanted of questions about the images of an album."""
    wanted = (
        Target(
            f"questions/s, {album.name}",
            5,
            _as_decisions(album, "questions_per_s", VLLM, CHAT),
            "questions a second to plain vLLM's chats, all at once",
        ),
        Target(
            "the same, time to the last answer",
            0.25,
            _as_decisions(album, "last_answer_s", VLLM, CHAT),
            "seconds to plain vLLM's",
            at_most=True,
        ),
        Target(
            "the same, questions/s to our own chats",
            2,
            _as_decisions(album, "questions_per_s", PHISERVE, HELD),
            "questions a second to our chats with `structured_outputs.choice`",
        ),
    )
    if not album.first_alone:
        return wanted
    further = f"the same, the other {album.questions - 1} questions"
    basis = "seconds to those of the first one alone"
    return (*wanted, Target(further, 0.25, _further_to_first(album), basis, at_most=True))


def _beside_batch(percent: int) -> Ratio:
    """Time to the first token beside a batch, over that alone."""
    measure = f"ttft_p{percent}_ms"
    return lambda results: divided(
        results.median_of(batches.PART, batches.WAITING, batches.BESIDE, PHISERVE, measure),
        results.median_of(batches.PART, batches.WAITING, batches.ALONE, PHISERVE, measure),
    )


def _as_batch(questions: batches.Questions, peer: str, way: str) -> Ratio:
    """Requests a second of a batch, over those of clients."""
    return lambda results: divided(
        results.median_of(batches.PART, questions.name, batches.BATCH, PHISERVE, "requests_per_s"),
        results.median_of(batches.PART, questions.name, way, peer, "requests_per_s"),
    )


def _grown_to_input(results: Results) -> float | None:
    """Bytes by which memory grows while a long input is read, over the input's own."""
    load = f"{batches.MOST_LINES} lines"
    grown, read = (
        results.median_of(batches.PART, batches.READING, load, PHISERVE, measure)
        for measure in ("grown_api_bytes", "input_bytes")
    )
    return divided(grown, read)


_ALONE = "milliseconds to those alone"
_BATCH_TARGETS = (
    Target(
        f"batch, {batches.SMALL.name}",
        1.5,
        _as_batch(batches.SMALL, VLLM, batches.CHATS),
        f"pictures a second to plain vLLM's, {batches.CHATS}",
    ),
    Target(
        "the same, to our own full engine",
        0.9,
        _as_batch(batches.SMALL, PHISERVE, batches.FULL),
        f"pictures a second to our own, {batches.FULL}",
    ),
    Target(
        f"batch, {batches.PHOTOS.name}",
        4,
        _as_batch(batches.PHOTOS, VLLM, batches.CHATS),
        f"questions a second to plain vLLM's, {batches.CHATS}",
    ),
    Target(
        "first token beside a batch, median",
        1.3,
        _beside_batch(50),
        _ALONE,
        at_most=True,
    ),
    Target("the same, p99", 2, _beside_batch(99), _ALONE, at_most=True),
    Target(
        "memory of the API process while an input of 2 GB is read",
        0.1,
        _grown_to_input,
        "bytes that it grows by to the input's",
        at_most=True,
    ),
)

_STREAMS = f"{STREAMS} text streams"
_BURST = f"{IMAGES} pictures"
_RENDERED = "images a second to plain vLLM's"
_REQUESTS = "requests a second to plain vLLM's"
_TO_GENERATE = "requests a second to `generate`'s"

_STAGES = "stages"
_SMALL = "small checkpoint"
_AT_16 = f"requests/s, {CLIENTS} clients, short answers"

TARGETS = (
    Target(
        "picture → engine input, 640x480 JPEG, one core",
        4,
        to_vllm(_STAGES, "640x480", "one core", "images_per_s"),
        _RENDERED,
    ),
    Target("the same, 1 MP JPEG", 3, to_vllm(_STAGES, "1 MP", "one core", "images_per_s"), _RENDERED),
    Target("the same, 12 MP JPEG", 1.8, to_vllm(_STAGES, "12 MP", "one core", "images_per_s"), _RENDERED),
    Target(
        "the same on all cores, 1 MP", 5, to_vllm(_STAGES, "1 MP", "all cores", "images_per_s"), _RENDERED
    ),
    Target(
        "bytes to the engine per 4:3 photo",
        1 / 2.5,
        to_vllm(_STAGES, "1 MP", "all cores", "bytes_to_engine"),
        "bytes to plain vLLM's",
        at_most=True,
    ),
    Target(
        "a picture seen before → engine input, 1 MP",
        20,
        to_vllm(_STAGES, "1 MP", "one core", "seen_images_per_s"),
        "images a second to plain vLLM's, which has seen it too",
    ),
    Target(
        "CPU of the API process per streamed token, 64 streams",
        1 / 2,
        to_vllm("text", "text", "64 clients", "cpu_api_us_per_token"),
        "seconds to plain vLLM's",
        at_most=True,
    ),
    Target(
        f"output tokens/s, 64 text streams, {_SMALL}",
        1.4,
        to_vllm("text", "text", "64 clients", "output_tokens_per_s"),
        "tokens a second to plain vLLM's",
    ),
    Target(
        "requests/s, 4:3 photos, CLIP's 23 layers",
        1.25,
        to_vllm("clip", "1 MP", "2 clients", "requests_per_s"),
        _REQUESTS,
    ),
    Target(
        "the same with `detail: low`",
        5,
        to_vllm("clip", "1 MP, low", "2 clients", "requests_per_s"),
        _REQUESTS,
    ),
    Target(
        f"p99 between tokens of {STREAMS} streams, {IMAGES} pictures at once",
        1,
        to_vllm(SMALL, _STREAMS, _BURST, "itl_p99_ms"),
        "milliseconds to plain vLLM's",
        at_most=True,
    ),
    Target(
        "the same, to no burst",
        1.5,
        _burst_to_quiet(SMALL),
        "milliseconds to our own without the pictures",
        at_most=True,
    ),
    Target(
        "the same, to no burst, CLIP's 23 layers",
        2,
        _burst_to_quiet(REAL),
        "milliseconds to our own without the pictures",
        at_most=True,
    ),
    Target(
        "the time that this burst takes",
        1.15,
        _to_long_slices,
        "seconds to our own with slices of a second",
        at_most=True,
    ),
    Target(f"{_AT_16}, text", 8, _to_transformers("text", ONE), f"{_TO_GENERATE}, {ONE}"),
    Target(f"{_AT_16}, text", 8, _to_transformers("text", BATCH), f"{_TO_GENERATE}, {BATCH}"),
    Target(f"{_AT_16}, 1 MP photo", 8, _to_transformers("1 MP", ONE), f"{_TO_GENERATE}, {ONE}"),
    Target(f"{_AT_16}, 1 MP photo", 8, _to_transformers("1 MP", BATCH), f"{_TO_GENERATE}, {BATCH}"),
    Target(
        f"time to ready, {_SMALL}",
        0.65,
        to_vllm("text", "session", "", "ready_s"),
        "seconds to plain vLLM's",
        at_most=True,
    ),
    Target(
        "peak memory of all processes, pictures",
        1,
        to_vllm("pictures", "session", "", "peak_all_bytes"),
        "bytes to plain vLLM's, resident, summed over processes",
        at_most=True,
    ),
    *_decision_targets(PHOTO),
    *_decision_targets(REAL_PHOTO),
    *_decision_targets(SMALL_IMAGES),
    *_BATCH_TARGETS,
)
"""In the order of the report."""
