"""A prompt is taken apart as the server would put it together."""

import asyncio
from pathlib import Path

import pytest

from images import data_url, encode, noise
from phiserve.chat.vocabulary import Vocabulary
from phiserve.checkpoint.opened import open_checkpoint
from phiserve.cli.content import Detail, user_message
from phiserve.cli.inspection import inspect
from phiserve.errors import InvalidImage
from phiserve.vision.images import ImageService


def test_segments_make_up_the_prompt(
    checkpoint: Path, image_service: ImageService, vocabulary: Vocabulary
) -> None:
    """Without a gap, each image one segment with as many ids as its plan says."""
    urls = [data_url(encode(noise(*size))) for size in ((60, 40), (40, 60))]
    message = user_message(urls, "Which?", Detail.LOW)
    inspected = asyncio.run(inspect(open_checkpoint(str(checkpoint)), image_service, [message], ["a", "b"]))
    segments = inspected.segments(vocabulary)
    assert [token_id for segment in segments for token_id in segment.token_ids] == inspected.prompt.ids
    assert [len(segment.token_ids) for segment in segments if segment.kind == "image"] == [313, 313]
    assert [plan.num_tokens for plan in inspected.under("low")] == [313, 313]


def test_errors_name_the_image(checkpoint: Path, image_service: ImageService) -> None:
    """By the name it was given."""
    message = user_message([data_url(b"nothing")], "Which?", Detail.LOW)
    with pytest.raises(InvalidImage, match=r"^b\.png: the image is not in a supported format"):
        asyncio.run(inspect(open_checkpoint(str(checkpoint)), image_service, [message], ["b.png"]))
