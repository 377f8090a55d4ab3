"""PDFs on a real engine, sent by the openai client: answers equal those to the pages' pictures."""

import openai
import pytest
from PIL import Image

from e2e.conftest import MODEL
from images import data_url, image_part
from pdfs import file_part, pdf, text_page
from phiserve.codecs.pdf import OpenedPdf
from phiserve.vision.sizes import plan_crops

TWO = pdf(text_page("One"), text_page("Two"))
QUESTION = {"type": "text", "text": "Which?"}


def answer(client: openai.OpenAI, *parts: object) -> tuple[str | None, int]:
    """The most likely words, and how many tokens the prompt had."""
    completion = client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": [*parts, QUESTION]}],  # type: ignore[list-item, misc]
        temperature=0,
        max_tokens=8,
    )
    assert completion.usage is not None
    return completion.choices[0].message.content, completion.usage.prompt_tokens


def test_a_pdf_is_answered_as_its_pictures(client: openai.OpenAI) -> None:
    """By chat with a `file` part, and by Responses with an `input_file`, alike."""
    size = plan_crops(949, 1344, 1).resized
    opened = OpenedPdf(TWO)
    pictures = [image_part(Image.fromarray(opened.draw(page, size)), "low") for page in (0, 1)]
    expected = answer(client, *pictures)
    assert answer(client, file_part(TWO, detail="low")) == expected
    text, prompt_tokens = expected
    file = {"type": "input_file", "filename": "a.pdf", "file_data": data_url(TWO), "detail": "low"}
    response = client.responses.create(
        model=MODEL,
        input=[{"role": "user", "content": [file, {"type": "input_text", "text": "Which?"}]}],  # type: ignore[list-item, misc]
        temperature=0,
        max_output_tokens=8,
        store=False,
    )
    assert response.usage is not None
    assert (response.output_text, response.usage.input_tokens) == (text, prompt_tokens)


def test_a_bad_one_is_named(client: openai.OpenAI) -> None:
    """As the client's own error, with the place."""
    with pytest.raises(openai.BadRequestError) as caught:
        answer(client, QUESTION, file_part(TWO[:300]))
    assert (caught.value.code, caught.value.param) == (
        "invalid_pdf",
        "messages[0].content[1].file.file_data",
    )
