"""Ask typed questions about an image with the openai client; each is answered with probabilities.

usage: python openai_decisions.py image.png "Is there a chart?"
       OPENAI_BASE_URL names the server; the default is http://127.0.0.1:8000/v1
"""

import base64
import mimetypes
import os
import sys
from pathlib import Path

from openai import OpenAI


def data_url(path: str) -> str:
    """An image file as a data URL."""
    media_type = mimetypes.guess_type(path)[0] or "application/octet-stream"
    return f"data:{media_type};base64,{base64.b64encode(Path(path).read_bytes()).decode()}"


def main(image: str, question: str) -> None:
    """All questions in one request: the image is looked at once."""
    client = OpenAI(
        base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8000/v1"),
        # Any word will do, unless the server was started with a key.
        api_key=os.environ.get("OPENAI_API_KEY", "none"),
    )
    kinds = ("chart", "photograph", "drawing", "text")
    decision = client.decisions.create(
        model=client.models.list().data[0].id,
        input=[{"role": "user", "content": [{"type": "input_image", "image_url": data_url(image)}]}],
        questions=[
            {"type": "predicate", "name": "true", "instructions": question},
            {
                "type": "choice",
                "name": "kind",
                "instructions": "What kind of image is it?",
                "choices": [{"value": kind} for kind in kinds],
            },
            {
                "type": "score",
                "name": "colours",
                "instructions": "How colourful is it?",
                "levels": [{"label": label} for label in ("grey", "pale", "colourful")],
            },
        ],
    )
    for answer in decision.answers:
        match answer.type:
            case "predicate":
                print(f"{answer.name}: {answer.probability:.2f}")
            case "choice":
                shares = ", ".join(f"{one.value} {one.probability:.2f}" for one in answer.probabilities)
                print(f"{answer.name}: {answer.choice} ({shares})")
            case "score":
                print(f"{answer.name}: {answer.score:.2f} of 0 to {len(answer.probabilities) - 1}")
            case "refusal":
                print(f"{answer.name}: no answer")
    print(decision.usage, file=sys.stderr)


if __name__ == "__main__":
    main(*sys.argv[1:])
