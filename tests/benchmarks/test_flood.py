"""What a flood counts, and photos unlike each other."""

import base64
import json

from benchmarks.flood import Tally, photo_bodies
from benchmarks.images import draw, redrawn
from benchmarks.load import Answer


def test_refusals_are_timed_apart_from_failures() -> None:
    tally = Tally()
    tally.add(Answer(0.0, (1.0,), 1.0, 4, True))
    tally.add(Answer(0.0, (), 0.002, 0, False, "429: full"))
    tally.add(Answer(0.0, (), 1.0, 0, False, "500: no"))
    assert tally.told() == {"answered": 1, "refused": 1, "refusal_p99_ms": 2.0, "failures": {"500: no": 1}}


def test_photos_are_those_of_their_numbers() -> None:
    """As if the whole body had been made anew."""
    photo = draw("640x480", 0)
    make = photo_bodies(photo)
    urls = [json.loads(make(number))["messages"][0]["content"][0]["image_url"]["url"] for number in (1, 2)]
    assert [base64.b64decode(url.partition(",")[2]) for url in urls] == [redrawn(photo, 1), redrawn(photo, 2)]
