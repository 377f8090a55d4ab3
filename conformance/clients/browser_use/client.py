"""browser-use: the steps of its agent that ask the model, on a page that is described, not rendered.

Where there is a Chromium its whole loop could run; what the server sees is the same.
"""

import base64
import contextlib
import os
from typing import Any

os.environ["ANONYMIZED_TELEMETRY"] = "false"
os.environ["BROWSER_USE_CLOUD_SYNC"] = "false"
os.environ["BROWSER_USE_VERSION_CHECK"] = "false"

from browser_use import Agent, BrowserSession, ChatOpenAI
from browser_use.browser.views import BrowserStateSummary, TabInfo
from browser_use.dom.views import SerializedDOMState
from browser_use.llm.exceptions import ModelOutputTruncatedError
from browser_use.llm.messages import (
    ContentPartImageParam,
    ContentPartTextParam,
    ImageURL,
    UserMessage,
)
from checks import BASE_URL, IMAGE, KEY, MODEL, QUESTION, image_url, run, said
from pydantic import BaseModel

URL, TITLE = "http://localhost/shapes.html", "Shapes"


class Shape(BaseModel):
    """What the structured answers are parsed into."""

    shape: str
    red: bool


class Described(BrowserSession):
    """A session whose page is the image."""

    async def get_browser_state_summary(self, *_: Any, **__: Any) -> BrowserStateSummary:
        """The page as it would be read from a browser."""
        return BrowserStateSummary(
            dom_state=SerializedDOMState(_root=None, selector_map={}),
            url=URL,
            title=TITLE,
            tabs=[TabInfo(url=URL, title=TITLE, target_id="0" * 32)],
            screenshot=base64.b64encode(IMAGE.read_bytes()).decode(),
        )


def model() -> ChatOpenAI:
    """The server behind its own class, with its defaults."""
    return ChatOpenAI(model=MODEL, base_url=BASE_URL, api_key=KEY)


async def default() -> str:
    """A question."""
    return said((await model().ainvoke([UserMessage(content="Who are you?")])).completion)


async def picture() -> str:
    """A question about an image."""
    parts: Any = [
        ContentPartTextParam(text=QUESTION),
        ContentPartImageParam(image_url=ImageURL(url=image_url(), media_type="image/png")),
    ]
    return said((await model().ainvoke([UserMessage(content=parts)])).completion)


async def structured() -> str:
    """A model of Pydantic's as the form of the answer."""
    answer = await model().ainvoke([UserMessage(content="Name a shape.")], output_format=Shape)
    return repr(answer.completion)


async def step() -> str:
    """The agent looks at a page and is given its next actions in its own form; a cut answer is asked anew.

    The demo model knows nothing of actions: it may name none.
    """
    asked: Any = Agent(
        task=QUESTION, llm=model(), browser_session=Described(), flash_mode=True, use_judge=False
    )
    await asked._prepare_context()  # noqa: SLF001 - what its `step` does, without a browser
    messages = asked._message_manager.get_messages()  # noqa: SLF001 - as above
    for _ in range(asked.settings.max_failures - 1):
        with contextlib.suppress(ModelOutputTruncatedError):
            return repr((await asked.get_model_output(messages)).model_dump(exclude_none=True))
    return repr((await asked.get_model_output(messages)).model_dump(exclude_none=True))


run({"default": default, "picture": picture, "structured": structured, "step": step})
