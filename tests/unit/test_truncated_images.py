"""Where a conversation may be truncated, images and pages beyond the limits go with the oldest turns."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import pytest

from images import encode, image_part, noise, text_part
from pdfs import file_part, pdf, text_page
from phiserve.core import Conversation, ImagePlaceholder, Turn
from phiserve.errors import InvalidImage, InvalidRequest
from phiserve.media.connector import MediaConnector
from phiserve.media.file_source import UploadedFile
from phiserve.preparation import PromptPreparer
from phiserve.protocol.chat import ChatCompletionRequest
from phiserve.protocol.translation import build_conversation
from phiserve.vision.faults import digest_of
from phiserve.vision.images import ImageService
from phiserve.vision.limits import ImageLimits

MakePreparer = Callable[..., PromptPreparer]
THREE = pdf(text_page("One"), text_page("Two"), text_page("Three"))


def ids_of(preparer: PromptPreparer, conversation: Conversation) -> list[int]:
    return asyncio.run(preparer.prepare(conversation)).ids


@pytest.fixture
def textual(make_preparer: MakePreparer) -> Iterator[PromptPreparer]:
    """As where pages' texts are given along."""
    service = ImageService(ImageLimits(), 1, with_page_text=True)
    yield make_preparer(images=service)
    service.close()


class Album:
    """Uploaded pictures by their names, and how often each was read."""

    def __init__(self, *names: str) -> None:
        self.contents = {name: encode(noise(20 + number, 20)) for number, name in enumerate(names)}
        self.reads: Counter[str] = Counter()

    async def find(self, owner: str, file_id: str) -> UploadedFile:
        """A picture that may be read."""

        async def read() -> bytes:
            self.reads[file_id] += 1
            return self.contents[file_id]

        return UploadedFile(file_id, "a", "", len(self.contents[file_id]), file_id, read)


def shown(names: str, *, truncates: bool = False) -> Conversation:
    """Instructions, then turns of the user that each show a picture, answered all but the last."""
    turns = [Turn("system", ("Be brief.",))]
    for number, name in enumerate(names):
        image = ImagePlaceholder("", "low", f"input[{number}]", file_id=name)
        turns += [Turn("user", (image, "What is it?")), Turn("assistant", ("A cat.",))]
    return Conversation(tuple(turns[:-1]), "input", truncates=truncates)


@pytest.mark.parametrize(
    ("context", "limits", "kept"),
    [
        (12_000, ImageLimits(), "cdef"),
        (12_000, ImageLimits(max_request_pixels=(25 + 24 + 23) * 20), "def"),
        (12_000, ImageLimits(max_request_bytes=3500), "ef"),
        (12_000, ImageLimits(max_request_bytes=2000), "f"),
        (1000, ImageLimits(), "ef"),
    ],
)
def test_the_oldest_images_are_left_out_with_their_turns(
    make_preparer: MakePreparer, context: int, limits: ImageLimits, kept: str
) -> None:
    """Where they are too many, too large together or do not fit; all that are read are read once."""
    album = Album(*"abcdef")
    service = ImageService(limits, 1, MediaConnector(files=album))
    preparer = make_preparer(context, images=service)
    prompt = asyncio.run(preparer.prepare(shown("abcdef", truncates=True)))
    expected = [digest_of(album.contents[name], None) for name in kept]
    assert [image.encoded.digest for image in prompt.images] == expected
    assert {*kept} <= album.reads.keys() <= {*"cdef"}
    assert max(album.reads.values()) == 1
    with pytest.raises(InvalidRequest):
        ids_of(preparer, shown("abcdef"))
    service.close()


def test_a_last_turn_of_too_many_images(make_preparer: MakePreparer) -> None:
    """It is refused: nothing is left that might be left out."""
    last = Turn("user", tuple(ImagePlaceholder("data:,", "low", f"input[1].content[{n}]") for n in range(5)))
    told = replace(shown("ab", truncates=True), turns=(*shown("ab").turns, last))
    with pytest.raises(InvalidRequest, match="5 images") as caught:
        ids_of(make_preparer(), told)
    assert caught.value.param == "input[1].content[4]"


def test_a_last_turn_whose_images_are_too_large_together(make_preparer: MakePreparer) -> None:
    """It is refused with the limit."""
    service = ImageService(ImageLimits(max_request_pixels=500), 1, MediaConnector(files=Album(*"abc")))
    turns = shown("ab", truncates=True).turns
    both = Turn("user", (*turns[1].parts, *turns[3].parts))
    with pytest.raises(InvalidImage, match="max_request_image_pixels"):
        ids_of(make_preparer(images=service), Conversation((turns[1], both), truncates=True))
    service.close()


def test_files_of_too_many_pages_are_left_out_with_their_turns(textual: PromptPreparer) -> None:
    """The oldest first, whose pages nobody reads; each file is read once. All that is shown is counted."""
    told: list[list[int]] = []

    async def count_pages(counts: Sequence[int]) -> None:
        told.append([*counts])

    turns = [
        {"role": "user", "content": [image_part(noise(40, 30), "low")]},
        {"role": "user", "content": [file_part(THREE, pages="1-2", detail="low")]},
        {"role": "user", "content": [file_part(THREE, detail="low")]},
        {"role": "user", "content": [image_part(noise(40, 30), "low"), text_part("New?")]},
    ]
    whole = build_conversation(ChatCompletionRequest.model_validate({"messages": turns}).messages)
    kept = build_conversation(ChatCompletionRequest.model_validate({"messages": turns[2:]}).messages)
    with pytest.raises(InvalidRequest, match="max_images"):
        asyncio.run(textual.prepare(whole))
    truncated = replace(whole, truncates=True)
    prompt = asyncio.run(textual.prepare(truncated, count_pages=count_pages))
    assert prompt.ids == asyncio.run(textual.prepare(kept)).ids
    assert told == [[0, 0, 3, 1]]
    assert textual.shortened(truncated).shown == whole.shown[1:]  # as far as the request itself tells


def test_a_last_file_of_too_many_pages(make_preparer: MakePreparer) -> None:
    """It is refused in a conversation that may be truncated too."""
    message = {"role": "user", "content": [file_part(pdf(*[""] * 5))]}
    told = build_conversation(ChatCompletionRequest.model_validate({"messages": [message]}).messages)
    with pytest.raises(InvalidRequest, match="the PDF has 5 pages"):
        asyncio.run(make_preparer().prepare(replace(told, truncates=True)))
