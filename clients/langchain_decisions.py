"""Ask typed questions about an image with LangChain; each is answered with probabilities.

usage: python langchain_decisions.py image.png
       OPENAI_BASE_URL names the server; the default is http://127.0.0.1:8000/v1
"""

import base64
import mimetypes
import os
import sys
from pathlib import Path

from langchain_core.messages import HumanMessage
from langchain_openai.decisions import Choice, OpenAIDecisions, Predicate, Score
from openai import OpenAI
from pydantic import SecretStr


def data_url(path: str) -> str:
    """An image file as a data URL."""
    media_type = mimetypes.guess_type(path)[0] or "application/octet-stream"
    return f"data:{media_type};base64,{base64.b64encode(Path(path).read_bytes()).decode()}"


def main(image: str) -> None:
    """All questions in one request: the image is looked at once."""
    base_url = os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8000/v1")
    # Any word will do, unless the server was started with a key.
    api_key = os.environ.get("OPENAI_API_KEY", "none")
    name = OpenAI(base_url=base_url, api_key=api_key).models.list().data[0].id
    decisions = OpenAIDecisions(model=name, base_url=base_url, api_key=SecretStr(api_key))
    shown = {"type": "image_url", "image_url": {"url": data_url(image)}}
    response = decisions.invoke(
        {
            "input": HumanMessage(content=[shown]),
            "questions": {
                "chart": Predicate(instructions="Is there a chart?"),
                "kind": Choice(
                    instructions="What kind of image is it?",
                    choices={"chart": "Bars or lines.", "photograph": None, "something else": None},
                ),
                "colours": Score(instructions="How colourful is it?", levels=["grey", "pale", "colourful"]),
            },
        }
    )
    print(f"chart: {response.predicates['chart'].probability:.2f}")
    kind = response.choices["kind"]
    print(f"kind: {kind.choice}, confidence {kind.confidence:.2f}")
    print(f"colours: {response.scores['colours'].score:.2f} of 0 to 2")
    print(response.usage, file=sys.stderr)


if __name__ == "__main__":
    main(*sys.argv[1:])
