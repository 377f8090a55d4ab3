"""LiteLLM's proxy in front of the server, asked by chat, by responses and by Anthropic's messages."""

import contextlib
import ctypes
import json
import os
import secrets
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import httpx
import openai
from checks import BASE_URL, KEY, MODEL, QUESTION, image_url, run, said
from pydantic import BaseModel

OWN_KEY = f"sk-{secrets.token_hex(16)}"
"""The proxy's, without which it does not start."""

TOOL: Any = {
    "type": "function",
    "function": {
        "name": "draw",
        "description": "Draws so many shapes.",
        "parameters": {
            "type": "object",
            "properties": {"count": {"type": "integer", "minimum": 0, "maximum": 9}},
            "required": ["count"],
        },
    },
}
ANTHROPIC_TOOL = {
    "name": "draw",
    "description": "Draws so many shapes.",
    "input_schema": TOOL["function"]["parameters"],
}


class Shape(BaseModel):
    """What the structured answers are parsed into."""

    shape: str
    red: bool


def start_proxy() -> str:
    """The URL of a running proxy, which ends with this process."""
    served = {"model": f"openai/{MODEL}", "api_base": BASE_URL, "api_key": KEY}
    config = Path("proxy.yaml")
    config.write_text(json.dumps({"model_list": [{"model_name": "phi", "litellm_params": served}]}))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    own = {
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_TELEMETRY": "False",
        "LITELLM_MASTER_KEY": OWN_KEY,
    }
    command = ["litellm", "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(
        command,
        env=os.environ | own,
        stdout=Path("proxy.log").open("w"),  # noqa: SIM115 - as long as the process
        stderr=subprocess.STDOUT,
        preexec_fn=lambda: ctypes.CDLL(None).prctl(1, signal.SIGKILL),  # PR_SET_PDEATHSIG
    )
    url = f"http://127.0.0.1:{port}"
    _wait(url, process)
    return url


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    with httpx.Client() as asking:
        for _ in range(300):
            with contextlib.suppress(httpx.HTTPError):
                if asking.get(f"{url}/health/liveliness").status_code == 200:
                    return
            if process.poll() is not None:
                break
            time.sleep(1)
    raise RuntimeError(f"the proxy did not start: {Path('proxy.log').read_text()[-300:]}")


URL = start_proxy()
client = openai.OpenAI(base_url=f"{URL}/v1", api_key=OWN_KEY, max_retries=0)
PICTURE: Any = [
    {"type": "text", "text": QUESTION},
    {"type": "image_url", "image_url": {"url": image_url()}},
]


def ask(content: Any, **options: Any) -> Any:
    """A chat completion."""
    return client.chat.completions.create(
        model="phi", messages=[{"role": "user", "content": content}], **options
    )


def default() -> str:
    """A question."""
    return said(ask("Who are you?").choices[0].message.content)


def picture() -> str:
    """A question about an image."""
    return said(ask(PICTURE).choices[0].message.content)


def stream() -> str:
    """The chunks of an answer."""
    deltas = (chunk.choices[0].delta.content for chunk in ask("Who are you?", stream=True) if chunk.choices)
    return said("".join(delta or "" for delta in deltas))


def structured() -> str:
    """A model of Pydantic's as the form of the answer."""
    answer = client.chat.completions.parse(
        model="phi",
        messages=[{"role": "user", "content": "Name a shape."}],
        response_format=Shape,
        max_tokens=200,
    )
    return repr(answer.choices[0].message.parsed)


def tools() -> str:
    """A tool that must be called, and the answer to its result."""
    message = ask("Draw something.", tools=[TOOL], tool_choice="required").choices[0].message
    (call, *_) = message.tool_calls
    count = json.loads(call.function.arguments)["count"]
    results: Any = [
        {"role": "tool", "tool_call_id": call.id, "content": "drawn"} for call in message.tool_calls
    ]
    messages: Any = [{"role": "user", "content": "Draw something."}, message, *results]
    answer = client.chat.completions.create(model="phi", messages=messages, tools=[TOOL])
    return f"draw({count}), {answer.choices[0].message.content!r}"


def responses() -> str:
    """A response to an image, whole and streamed."""
    parts = [
        {"type": "input_text", "text": QUESTION},
        {"type": "input_image", "image_url": image_url(), "detail": "auto"},
    ]
    items: Any = [{"role": "user", "content": parts}]
    whole = said(client.responses.create(model="phi", input=items).output_text)
    with client.responses.stream(model="phi", input="Who are you?") as events:
        return f"{whole} | {said(events.get_final_response().output_text)}"


def messages(**fields: Any) -> Any:
    """What Anthropic's route answers."""
    body = {"model": "phi", "max_tokens": 200, "messages": [{"role": "user", "content": "Who are you?"}]}
    answer = httpx.post(
        f"{URL}/v1/messages",
        json=body | fields,
        headers={"x-api-key": OWN_KEY, "anthropic-version": "2023-06-01"},
        timeout=300,
    )
    assert answer.status_code == 200, answer.text
    return answer


def anthropic() -> str:
    """A message about an image."""
    source = {"type": "base64", "media_type": "image/png", "data": image_url().partition(",")[2]}
    content = [{"type": "image", "source": source}, {"type": "text", "text": QUESTION}]
    return said(messages(messages=[{"role": "user", "content": content}]).json()["content"][0]["text"])


def anthropic_stream() -> str:
    """The events of a message."""
    lines = messages(stream=True).text.splitlines()
    events = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
    assert events[-1]["type"] == "message_stop", events[-1]
    deltas = [event["delta"] for event in events if event["type"] == "content_block_delta"]
    return said("".join(delta["text"] for delta in deltas))


def anthropic_tools() -> str:
    """A tool that must be called."""
    question = {"role": "user", "content": "Draw something."}
    choice = {"type": "any"}
    answer = messages(messages=[question], tools=[ANTHROPIC_TOOL], tool_choice=choice).json()
    (use, *_) = [block for block in answer["content"] if block["type"] == "tool_use"]
    assert isinstance(use["input"]["count"], int), use
    result = {"type": "tool_result", "tool_use_id": use["id"], "content": "drawn"}
    turns = [
        question,
        {"role": "assistant", "content": answer["content"]},
        {"role": "user", "content": [result]},
    ]
    after = messages(messages=turns, tools=[ANTHROPIC_TOOL]).json()
    return f"draw({use['input']}), {after['content']!r}"


run(
    {
        "default": default,
        "picture": picture,
        "stream": stream,
        "structured": structured,
        "tools": tools,
        "responses": responses,
        "anthropic": anthropic,
        "anthropic_stream": anthropic_stream,
        "anthropic_tools": anthropic_tools,
    }
)
