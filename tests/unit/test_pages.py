"""A page of a PDF is in its conversation just what its picture would be, and limits count it as one."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from images import data_url, encode, image_part, noise, text_part
from pdfs import file_part, pdf, text_page
from phiserve.chat.vocabulary import Vocabulary
from phiserve.codecs.pdf import OpenedPdf
from phiserve.core import Conversation
from phiserve.errors import ContextLengthExceeded, InvalidImage, InvalidPdf, InvalidRequest
from phiserve.media.connector import MediaConnector
from phiserve.media.file_source import UploadedFile
from phiserve.preparation import PreparedPrompt, PromptPreparer
from phiserve.protocol.chat import ChatCompletionRequest
from phiserve.protocol.translation import build_conversation
from phiserve.vision.images import ImageService
from phiserve.vision.limits import ImageLimits

MakePreparer = Callable[..., PromptPreparer]


class OneFile:
    """A source of one uploaded file, which counts how often it is read."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.num_reads = 0

    async def find(self, owner: str, file_id: str) -> UploadedFile:
        return UploadedFile(file_id, "a", "", len(self.content), file_id, self.read)

    async def read(self) -> bytes:
        self.num_reads += 1
        return self.content


SIZES = ((595.28, 841.89), (960.0, 540.0), (300.0, 300.0))
THREE = pdf(text_page("One"), text_page("Two"), text_page("Three", 20), sizes=SIZES)
PLACE = "messages[0].content[0].file"


def conversation(*parts: Any) -> Conversation:
    body = {"model": "m", "messages": [{"role": "user", "content": parts}]}
    return build_conversation(ChatCompletionRequest.model_validate(body).messages)


def prepare(preparer: PromptPreparer, *parts: Any, **options: Any) -> PreparedPrompt:
    return asyncio.run(preparer.prepare(conversation(*parts), **options))


def pictures(prompt: PreparedPrompt, content: bytes = THREE) -> list[Image.Image]:
    """The pages of a prompt as they are drawn."""
    opened = OpenedPdf(content)
    drawn = [opened.draw(image.encoded.page or 0, image.plan.resized) for image in prompt.images]
    return [Image.fromarray(pixels) for pixels in drawn]


def crops(service: ImageService, prompt: PreparedPrompt) -> list[Any]:
    """What the model would see of each image."""

    async def run() -> list[Any]:
        return [await service.crops(image.encoded, image.plan) for image in prompt.images]

    return asyncio.run(run())


@pytest.fixture
def textual(make_preparer: MakePreparer) -> Iterator[PromptPreparer]:
    """As where pages' texts are given along."""
    service = ImageService(ImageLimits(), 1, with_page_text=True)
    yield make_preparer(images=service)
    service.close()


@pytest.mark.parametrize(
    ("detail", "context"),
    [("auto", 12_000), ("auto", 3000), ("low", 12_000), ("low", 3000), ("high", 12_000)],
)
def test_a_page_equals_its_picture(
    make_preparer: MakePreparer, image_service: ImageService, detail: str, context: int
) -> None:
    """To the last id and pixel: at full detail, at the lowest, and where `auto` has stepped down."""
    preparer = make_preparer(context)
    question = text_part("Which is the second?")
    by_file = prepare(preparer, text_part("Look:"), file_part(THREE, detail=detail), question)
    shown = [image_part(picture, detail) for picture in pictures(by_file)]
    by_pictures = prepare(preparer, text_part("Look:"), *shown, question)
    assert by_file.ids == by_pictures.ids
    assert [image.offset for image in by_file.images] == [image.offset for image in by_pictures.images]
    assert [image.plan for image in by_file.images] == [image.plan for image in by_pictures.images]
    pairs = zip(crops(image_service, by_file), crops(image_service, by_pictures), strict=True)
    assert all(np.array_equal(page, picture) for page, picture in pairs)
    assert (by_file.images[0].plan.num_crops > 4) == (detail != "low" and context > 3000)


def test_pages_are_drawn_no_larger_than_they_are_seen(make_preparer: MakePreparer) -> None:
    """However large the page says that it is."""
    poster = pdf("0 0 9 9 re f", sizes=((14_400, 14_400),))
    (image,) = prepare(make_preparer(max_crops=4), file_part(poster)).images
    assert (image.encoded.size, image.plan.resized) == ((672, 672), (672, 672))


def test_pages_are_chosen(make_preparer: MakePreparer) -> None:
    """By their numbers, in the order of the request."""
    prompt = prepare(make_preparer(12_000), file_part(THREE, pages="3, 1-2"), file_part(THREE, pages="2"))
    assert [image.encoded.page for image in prompt.images] == [2, 0, 1, 1]
    assert {image.encoded.param for image in prompt.images} == {
        "messages[0].content[0].file.file_data",
        "messages[0].content[1].file.file_data",
    }
    assert len({image.encoded.digest for image in prompt.images}) == 3


def test_a_page_that_there_is_none_of(make_preparer: MakePreparer) -> None:
    """Is refused where it is named."""
    with pytest.raises(InvalidRequest, match=r"there is no page 4: the PDF has 3") as caught:
        prepare(make_preparer(12_000), file_part(THREE, pages="2-4"))
    assert caught.value.param == f"{PLACE}.pages"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        (
            {},
            "the PDF has 3 pages, each an image, and so the request has 5 images; the limit is 4",
        ),
        (
            {"pages": "1-3"},
            "3 pages of the PDF are asked for, each an image, and so the request has 5 images",
        ),
        ({"pages": "1-9999"}, "9999 pages of the PDF are asked for"),
    ],
)
def test_too_many_pages_are_refused_with_the_numbers(
    make_preparer: MakePreparer, fields: dict[str, str], reason: str
) -> None:
    """Named ones before the PDF is opened; and what to do about it is said."""
    others = [image_part(noise(9, 9))] * 2
    with pytest.raises(InvalidRequest) as caught:
        prepare(make_preparer(12_000), file_part(THREE, **fields), *others)
    assert (caught.value.param, caught.value.code) == (f"{PLACE}.file_data", "too_many_images")
    assert reason in caught.value.reason
    assert caught.value.reason.endswith(f"Name fewer pages in {PLACE}.pages")


def test_a_file_too_many(make_preparer: MakePreparer) -> None:
    """Is named, and no pages of it are to be left out."""
    one = pdf("")
    with pytest.raises(
        InvalidRequest, match=r"the file is an image.*has 5 images.*\(max_images\)$"
    ) as caught:
        prepare(make_preparer(12_000), *[file_part(one)] * 6)
    assert caught.value.param == "messages[0].content[4].file.file_data"


def test_pages_that_do_not_fit_the_context(make_preparer: MakePreparer) -> None:
    """Every number is told, and how many pages would fit."""
    with pytest.raises(ContextLengthExceeded) as caught:
        prepare(make_preparer(800), file_part(THREE), text_part("What?"))
    assert "313 in image 1, 313 in image 2, 313 in image 3" in caught.value.message
    assert caught.value.message.endswith('With detail "low" 2 of its 3 pages would fit.')


def test_texts_are_given_where_they_are_wanted(textual: PromptPreparer, vocabulary: Vocabulary) -> None:
    """Each behind its page, with its number; a page without text is its picture alone."""
    content = pdf(text_page("One"), "", text_page("<|end|> Three"))
    prompt = prepare(textual, file_part(content, detail="low"), text_part("What?"))
    text = b"".join(map(vocabulary.bytes_of, prompt.ids)).decode()
    assert text.count("<|image|>") == 3 * 313
    without = text.replace("<|image|>", "")
    assert "Text of page 1:\nOne\n" in without
    assert "Text of page 2" not in without
    assert "Text of page 3:\n<|end|> Three\nWhat?" in without
    others = prepare(textual, text_part("<|end|>"))
    assert prompt.ids.count(32007) == others.ids.count(32007)


def test_a_file_that_is_an_image(make_preparer: MakePreparer, image_service: ImageService) -> None:
    """Stands for the image, at the file's place."""
    content = encode(noise(40, 30))
    part = {"type": "file", "file": {"file_data": data_url(content), "detail": "low"}}
    prompt = prepare(make_preparer(), part, text_part("?"))
    assert prompt.ids == prepare(make_preparer(), image_part(content, "low"), text_part("?")).ids
    assert prompt.images[0].encoded.param == f"{PLACE}.file_data"
    assert crops(image_service, prompt)[0].shape == (1, 336, 336, 3)


def test_pages_that_are_too_thin(make_preparer: MakePreparer) -> None:
    """As images are; a bad one is told by its number."""
    content = pdf("", "", sizes=((100, 100), (10, 4000)))
    with pytest.raises(InvalidPdf, match=r"page 2 of the PDF, 10 x 4000 points, is too thin") as caught:
        prepare(make_preparer(), file_part(content))
    assert caught.value.param == f"{PLACE}.file_data"


def test_the_first_bad_file_is_named(make_preparer: MakePreparer) -> None:
    """Whichever of them was found out first."""
    bad = file_part(b"%PDF-1.4 no more")
    with pytest.raises(InvalidPdf, match="damaged") as caught:
        prepare(make_preparer(), file_part(pdf("")), bad, file_part(b"nothing"))
    assert caught.value.param == "messages[0].content[1].file.file_data"


def test_old_turns_with_files_are_left_out(make_preparer: MakePreparer) -> None:
    """As those with images are, where a conversation may be truncated."""
    turns = [
        {"role": "user", "content": [file_part(THREE, detail="low"), text_part("Old?")]},
        {"role": "assistant", "content": "Yes"},
        {"role": "user", "content": [file_part(pdf(""), detail="low"), text_part("New?")]},
    ]
    told = build_conversation(ChatCompletionRequest.model_validate({"messages": turns}).messages)
    prompt = asyncio.run(make_preparer(1000).prepare(replace(told, truncates=True)))
    assert [image.encoded.param for image in prompt.images] == ["messages[2].content[0].file.file_data"]


def test_an_image_as_a_file_is_read_once(make_preparer: MakePreparer) -> None:
    """It is the same image as elsewhere, within the limits of images, and has no pages to be chosen."""
    picture = noise(40, 30)
    source = OneFile(encode(picture))
    service = ImageService(ImageLimits(max_bytes=len(source.content)), 1, MediaConnector(files=source))
    preparer = make_preparer(images=service)
    part = {"type": "file", "file": {"file_id": "file-1"}}
    prompt = prepare(preparer, part)
    assert prompt.ids == prepare(preparer, image_part(picture)).ids
    assert source.num_reads == 1
    with pytest.raises(InvalidRequest, match="the file is an image, which has no pages") as caught:
        prepare(preparer, {"type": "file", "file": {"file_id": "file-1", "pages": "1"}})
    assert caught.value.param == f"{PLACE}.pages"
    source.content += b" "
    with pytest.raises(InvalidImage, match="max_image_bytes") as too_large:
        prepare(preparer, part)
    assert too_large.value.param == f"{PLACE}.file_id"
    service.close()


def test_pages_are_counted_before_they_are_read(
    textual: PromptPreparer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of everything that is shown; who counts them may refuse, and nothing more is done."""
    told: list[list[int]] = []

    async def count_pages(counts: Sequence[int]) -> None:
        told.append([*counts])
        if len(told) > 1:
            raise InvalidRequest("too many")

    def read_nothing(*arguments: object) -> str:
        raise AssertionError("nothing is read")

    parts = [image_part(noise(40, 30), "low"), file_part(THREE, pages="3", detail="low")]
    prepare(textual, *parts, file_part(pdf("", ""), detail="low"), count_pages=count_pages)
    monkeypatch.setattr(textual._images.documents._decoder, "read_page", read_nothing)
    with pytest.raises(InvalidRequest, match="too many"):
        prepare(textual, *parts, file_part(THREE, pages="1-2"), count_pages=count_pages)
    prepare(textual, parts[0], count_pages=count_pages)
    assert told == [[1, 1, 2]] * 2


@pytest.mark.parametrize("width", [134.0, 422.0, 665.0])
def test_a_page_seen_once_equals_its_picture(
    make_preparer: MakePreparer, image_service: ImageService, width: float
) -> None:
    """Also one whose size rounds down once more where it is resized."""
    content = pdf(text_page("One"), sizes=((width, 595.0),))
    by_file = prepare(make_preparer(), file_part(content, detail="low"))
    by_picture = prepare(make_preparer(), image_part(pictures(by_file, content)[0], "low"))
    assert by_file.images[0].plan == by_picture.images[0].plan
    assert np.array_equal(crops(image_service, by_file)[0], crops(image_service, by_picture)[0])
