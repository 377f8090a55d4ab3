"""Part `decisions`: many questions about an image that nobody has seen before, as decisions and as chats."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count

from benchmarks.bench import Bench
from benchmarks.looks import CHAT_PATH, DECISIONS_PATH, Requests, look_at, summary
from benchmarks.metrics import change, read
from benchmarks.peers import PHISERVE, VLLM, RunningPeer
from benchmarks.processes import cpu_seconds, use
from benchmarks.questions import Question, Subject, chats, decision, questions
from benchmarks.records import Record
from benchmarks.session import WARM_UP_NUMBER, images_and_caches

PART = "decisions"
DECISIONS = "decisions"
CHAT = "chats"
HELD = "chats with structured_outputs.choice"
FIRST = "decisions, the first question alone"
"""What the report calls the ways of asking."""

ONE_ORDER = "phiserve, 1 order"
"""Ours with one order of each question's options instead of two."""

ORDERS = "PHISERVE_DECISION_ORDERS"
ROUNDS = 3
"""Photos that are asked about in each way while a server has its turn."""

WAYS = {PHISERVE: (DECISIONS, HELD), ONE_ORDER: (DECISIONS,), VLLM: (CHAT,)}
"""How each is asked. Plain vLLM serves no decisions about images."""


@dataclass(frozen=True, slots=True)
class Album:
    """Images, and how many questions about each; `at_once` of them at once.

    `kind` and `detail` are those of `questions.Subject`. With `first_alone` the first question is asked about
    another image by itself, too.
    """

    name: str
    kind: str
    images: int
    questions: int
    at_once: int = 1
    detail: str | None = None
    first_alone: bool = False

    def asked(self, way: str) -> list[Question]:
        """The questions about each image."""
        return questions(1 if way == FIRST else self.questions)


PHOTO = Album("20 questions about a 1 MP photo", "1 MP", 1, 20, first_alone=True)
REAL_PHOTO = Album(f"{PHOTO.name}, CLIP's 23 layers", "1 MP", 1, 20, first_alone=True)
SMALL = Album("5 questions each about 64 small images", "small PNG", 64, 5, 4)
LOW = Album(f"{SMALL.name}, `detail: low`", SMALL.kind, SMALL.images, SMALL.questions, SMALL.at_once, "low")
"""One crop of each instead of 17. Plain vLLM has no `detail`: it looks at all crops, and is no measure."""


def decisions(bench: Bench) -> None:
    """On the small checkpoint, then photos where CLIP has its real 23 layers, which take minutes each."""
    albums = [LOW] if bench.short else [SMALL, LOW]

    def small(server: RunningPeer, repetition: int) -> Iterator[Record]:
        """Photos again and again, the other albums in the first turn."""
        _warm_up(server, "small PNG")
        yield from _rounds(server, PHOTO, repetition, bench.count(ROUNDS, 1), bench.short)
        for album in albums if repetition == 0 else []:
            yield from _rounds(server, album, repetition, 1, bench.short)

    def real(server: RunningPeer, repetition: int) -> Iterator[Record]:
        """One photo each."""
        _warm_up(server, None)
        yield from _rounds(server, REAL_PHOTO, repetition, 1, bench.short)

    bench.in_turn(PART, "small", small, {ONE_ORDER: {ORDERS: "1"}})
    if not bench.short:
        bench.in_turn(PART, "clip23", real)


def _rounds(server: RunningPeer, album: Album, repetition: int, rounds: int, short: bool) -> Iterator[Record]:
    """The ways of asking in turn, again and again, each time about other images."""
    numbers = count(repetition * 10_000)
    ways = WAYS[server.name] + ((FIRST,) if album.first_alone and server.name != VLLM else ())
    num_images = min(album.images, album.at_once) if short else album.images
    for turn in range(rounds):
        last_answer_s: dict[str, float] = {}
        for way in ways:
            print(f"  {album.name}, {way}", flush=True)
            subjects = [Subject(album.kind, next(numbers), album.detail) for _ in range(num_images)]
            measures = _measure(server, [_requests(one, album.asked(way), way) for one in subjects], album)
            last_answer_s[way] = measures.get("last_answer_s", 0.0)
            if way == FIRST:
                measures["further_s"] = last_answer_s[DECISIONS] - last_answer_s[FIRST]
            yield Record(PART, server.name, album.name, way, repetition * rounds + turn, measures)


def _requests(subject: Subject, asked: Sequence[Question], way: str) -> Requests:
    if way in (DECISIONS, FIRST):
        return Requests(DECISIONS_PATH, (decision(subject, asked),), len(asked))
    return Requests(CHAT_PATH, tuple(chats(subject, asked, held=way == HELD)), len(asked))


def _measure(server: RunningPeer, groups: Sequence[Requests], album: Album) -> dict[str, float]:
    """Bodies are made before the clock starts."""
    used, counted = use(server.pid), read(server.url)
    looks = look_at(server.url, groups, album.at_once)
    measures = summary(looks)
    seconds = cpu_seconds(used, use(server.pid))
    measures["cpu_api_s_per_image"] = seconds["api"] / len(groups)
    measures["cpu_all_s_per_image"] = sum(seconds.values()) / len(groups)
    for failure in dict.fromkeys(failure for look in looks for failure in look.failures):
        print(f"  {server.name}: {failure}", flush=True)
    return measures | images_and_caches(change(counted, read(server.url)))


def _warm_up(server: RunningPeer, kind: str | None) -> None:
    """One question in each way, so that nothing that is done once is measured."""
    for number, way in enumerate(WAYS[server.name]):
        look_at(server.url, [_requests(Subject(kind, WARM_UP_NUMBER + number, "low"), questions(1), way)], 1)
