"""Workers that do what files in `hostile_codecs` say."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from phiserve.codecs import EXTRA_FORMATS, FORMATS
from phiserve.sandbox.decoder import WorkerDecoder
from phiserve.sandbox.limits import WorkerLimits

LIMITS = WorkerLimits(
    max_bytes=4 * 2**20, max_pixels=4_000_000, formats=(*FORMATS, *EXTRA_FORMATS), least_cpu_s=1, patience=60
)
"""Small, so that what exceeds them does so soon."""

MakeDecoder = Callable[..., WorkerDecoder]


@pytest.fixture(scope="module")
def make_decoder() -> Iterator[MakeDecoder]:
    """Builds decoders whose workers know hostile files, and ends them."""
    made: list[WorkerDecoder] = []

    def make(
        limits: WorkerLimits = LIMITS, workers: int = 2, parse: str = "hostile_codecs:parse"
    ) -> WorkerDecoder:
        made.append(WorkerDecoder(limits, workers, parse))
        return made[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[2]), prepend=os.pathsep)
        yield make
    for decoder in made:
        decoder.close()


@pytest.fixture(scope="module")
def decoder(make_decoder: MakeDecoder) -> WorkerDecoder:
    """One for all tests of a file that leave it as it was."""
    decoder = make_decoder()
    decoder.start()
    return decoder
