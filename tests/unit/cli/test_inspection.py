"""A prompt is taken apart as the server would put it together."""

import asyncio
from pathlib import Path

import pytest

from phiserve.chat.vocabulary import Vocabulary
from phiserve.checkpoint.opened import open_checkpoint
from phiserve.cli.content import Detail, user_message
from phiserve.cli.inspection import inspect
from phiserve.errors import InvalidImage
from phiserve.vision.pictures import PictureService
from pictures import data_url, encode, noise


def test_segments_make_up_the_prompt(checkpoint: Path, picture_service: PictureService, vocabulary: Vocabulary) -> None:
    """Without a gap, each picture one segment with as many ids as its plan says."""
    urls = [data_url(encode(noise(*size))) for size in ((60, 40), (40, 60))]
    message = user_message(urls, "Which?", Detail.LOW)
    inspected = asyncio.run(inspect(open_checkpoint(str(checkpoint)), picture_service, [message], ["a", "b"]))
    segments = inspected.segments(vocabulary)
    assert [token_id for segment in segments for token_id in segment.token_ids] == inspected.ids
    assert [len(segment.token_ids) for segment in segments if segment.kind == "image"] == [313, 313]
    assert [plan.num_tokens for plan in inspected.under("low")] == inspected.image_tokens


def test_errors_name_the_picture(checkpoint: Path, picture_service: PictureService) -> None:
    """By the name it was given."""
    message = user_message([data_url(b"nothing")], "Which?", Detail.LOW)
    with pytest.raises(InvalidImage, match=r"^b\.png: the picture is not in a supported format"):
        asyncio.run(inspect(open_checkpoint(str(checkpoint)), picture_service, [message], ["b.png"]))
