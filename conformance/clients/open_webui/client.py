"""Open WebUI: its backend, asked as its page asks it for chats, and for titles, tags and follow-ups."""

import contextlib
import ctypes
import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import httpx
from checks import BASE_URL, KEY, MODEL, QUESTION, image_url, run, said

DATA = Path("data").resolve()
OWN = {
    "DATA_DIR": str(DATA),
    "WEBUI_AUTH": "False",
    "WEBUI_SECRET_KEY": "secret",
    "ENABLE_OLLAMA_API": "False",
    "OPENAI_API_BASE_URLS": BASE_URL,
    "OPENAI_API_KEYS": KEY,
    "RAG_EMBEDDING_ENGINE": "openai",  # no model of its own
    "OFFLINE_MODE": "True",
    "HF_HUB_OFFLINE": "1",
    "ANONYMIZED_TELEMETRY": "False",
    "SCARF_NO_ANALYTICS": "True",
    "DO_NOT_TRACK": "True",
}
TOOL = {
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


def start_backend() -> httpx.Client:
    """What asks a running backend, which ends with this process, as its first user."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    process = subprocess.Popen(
        ["open-webui", "serve", "--host", "127.0.0.1", "--port", str(port)],  # noqa: S607 - of its own environment
        env=os.environ | OWN,
        stdout=Path("backend.log").open("w"),  # noqa: SIM115 - as long as the process
        stderr=subprocess.STDOUT,
        preexec_fn=lambda: ctypes.CDLL(None).prctl(1, signal.SIGKILL),  # PR_SET_PDEATHSIG
    )
    client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=300)
    _wait(client, process)
    user = client.post("/api/v1/auths/signin", json={"email": "", "password": ""}).raise_for_status().json()
    client.headers["Authorization"] = f"Bearer {user['token']}"
    return client


def _wait(client: httpx.Client, process: subprocess.Popen[bytes]) -> None:
    for _ in range(500):
        with contextlib.suppress(httpx.HTTPError):
            if client.get("/health").status_code == 200:
                return
        if process.poll() is not None:
            break
        time.sleep(1)
    raise RuntimeError(f"the backend did not start: {Path('backend.log').read_text()[-300:]}")


backend = start_backend()


def models() -> str:
    """Its list has the server's models."""
    names = [model["id"] for model in backend.get("/api/models").raise_for_status().json()["data"]]
    assert MODEL in names, names
    return ", ".join(names)


def _chat(content: Any, **fields: Any) -> Any:
    body = {"model": MODEL, "messages": [{"role": "user", "content": content}], "stream": False}
    answer = backend.post("/api/chat/completions", json=body | fields)
    assert answer.status_code == 200, answer.text
    return answer


def default() -> str:
    """A chat, after it has listed the models."""
    models()
    return said(_chat("Who are you?").json()["choices"][0]["message"]["content"])


def picture() -> str:
    """A chat about an image."""
    parts = [{"type": "text", "text": QUESTION}, {"type": "image_url", "image_url": {"url": image_url()}}]
    return said(_chat(parts).json()["choices"][0]["message"]["content"])


def stream() -> str:
    """The events of a chat."""
    lines = _chat("Who are you?", stream=True).text.splitlines()
    events = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
    deltas = [event["choices"][0]["delta"] for event in events if event.get("choices")]
    return said("".join(delta.get("content") or "" for delta in deltas))


def tools() -> str:
    """A tool that must be called."""
    answer = _chat("Draw something.", tools=[TOOL], tool_choice="required").json()
    (call, *_) = answer["choices"][0]["message"]["tool_calls"]
    return f"draw({json.loads(call['function']['arguments'])['count']})"


def tasks() -> str:
    """What it asks beside a chat: a title, tags, what to ask next."""
    messages = [{"role": "user", "content": "Who are you?"}, {"role": "assistant", "content": "A model."}]
    body = {"model": MODEL, "messages": messages, "stream": False}
    answered = []
    for task in ("title", "tags", "follow_up"):
        answer = backend.post(f"/api/v1/tasks/{task}/completions", json=body)
        assert answer.status_code == 200, answer.text
        answered.append(f"{task}: {said(answer.json()['choices'][0]['message']['content'])[:60]}")
    return "; ".join(answered)


run({"default": default, "picture": picture, "stream": stream, "tools": tools, "tasks": tasks})
