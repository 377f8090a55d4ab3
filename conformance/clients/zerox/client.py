"""py-zerox: a document's page to Markdown, under a model name that it knows to have vision."""

import os
import shutil
from pathlib import Path
from typing import Any

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # it would download a list of prices
os.environ["LITELLM_TELEMETRY"] = "False"

import openai
from checks import IMAGE, CannotDo, run, said
from PIL import Image
from pyzerox import zerox

NAME = "gpt-4o"


async def default() -> str:
    """A PDF of one page."""
    if shutil.which("pdftoppm") is None:
        raise CannotDo("pdftoppm, of Debian's poppler-utils, is not on this machine")
    if NAME not in [model.id for model in openai.OpenAI().models.list()]:
        raise CannotDo(f"the server was started without the name {NAME}")
    document = Path("page.pdf").resolve()  # noqa: ASYNC240 - nothing else runs
    Image.open(IMAGE).convert("RGB").save(document)
    output: Any = await zerox(file_path=str(document), model=NAME)
    return said(output.pages[0].content)


run({"default": default, "picture": default})
