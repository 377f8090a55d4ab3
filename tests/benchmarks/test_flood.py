"""What a flood counts, and photos unlike each other."""

from benchmarks.flood import Tally, photo_body
from benchmarks.images import draw
from benchmarks.load import Answer


def test_refusals_are_timed_apart_from_failures() -> None:
    tally = Tally()
    tally.add(Answer(0.0, (1.0,), 1.0, 4, True))
    tally.add(Answer(0.0, (), 0.002, 0, False, "429: full"))
    tally.add(Answer(0.0, (), 1.0, 0, False, "500: no"))
    assert tally.told() == {"answered": 1, "refused": 1, "refusal_p99_ms": 2.0, "failures": {"500: no": 1}}


def test_photos_differ() -> None:
    photo = draw("640x480", 0)
    assert photo_body(photo, 1)[:5000] != photo_body(photo, 2)[:5000]
