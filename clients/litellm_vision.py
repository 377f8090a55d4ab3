"""Ask about an image with LiteLLM; the answer is streamed.

usage: python litellm_vision.py image.png "What does the image show?"
       OPENAI_BASE_URL names the server; the default is http://127.0.0.1:8000/v1

LiteLLM wants other versions of some packages than the server does: pip install -r litellm_requirements.txt in
an environment of its own. LITELLM_LOCAL_MODEL_COST_MAP=True keeps it from fetching its price list when it is
imported.
"""

import base64
import mimetypes
import os
import sys
from pathlib import Path

import litellm
from openai import OpenAI


def data_url(path: str) -> str:
    """An image file as a data URL."""
    media_type = mimetypes.guess_type(path)[0] or "application/octet-stream"
    return f"data:{media_type};base64,{base64.b64encode(Path(path).read_bytes()).decode()}"


def main(image: str, question: str) -> None:
    """`openai/` before the model's name says that the server speaks OpenAI's protocol."""
    base_url = os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8000/v1")
    # Any word will do, unless the server was started with a key.
    api_key = os.environ.get("OPENAI_API_KEY", "none")
    name = OpenAI(base_url=base_url, api_key=api_key).models.list().data[0].id
    stream = litellm.completion(
        model=f"openai/{name}",
        api_base=base_url,
        api_key=api_key,
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "image_url", "image_url": {"url": data_url(image)}},
                    {"type": "text", "text": question},
                ],
            }
        ],
        max_tokens=100,
        stream=True,
        stream_options={"include_usage": True},
    )
    for chunk in stream:
        print(chunk.choices[0].delta.content or "", end="", flush=True)
        if usage := getattr(chunk, "usage", None):
            print(f"\n{usage.prompt_tokens} tokens in, {usage.completion_tokens} out", file=sys.stderr)
    print()


if __name__ == "__main__":
    main(*sys.argv[1:])
