"""Every failure has a sentence."""

import httpx2
import openai
import pytest

from phiserve.cli.failures import sentence
from phiserve.errors import InvalidImage, StartupError

REQUEST = httpx2.Request("POST", "http://127.0.0.1/v1/chat/completions")
STRANGER = "What answers is not an OpenAI-compatible server: its status is 404"
BODY = {"message": "The model 'x' is not served here", "code": "model_not_found"}


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (StartupError("No folder"), "No folder"),
        (InvalidImage("a.png: damaged"), "a.png: damaged"),
        (FileNotFoundError(2, "No such file", "a.png"), "a.png: No such file"),
        (BrokenPipeError(32, "Broken pipe"), "Broken pipe"),
        (openai.APIConnectionError(request=REQUEST), "The connection to the server was lost"),
        (
            openai.NotFoundError("404", response=httpx2.Response(404, request=REQUEST), body=BODY),
            BODY["message"],
        ),
        (
            openai.NotFoundError("404", response=httpx2.Response(404, request=REQUEST), body="<html>"),
            STRANGER,
        ),
        (
            openai.NotFoundError("404", response=httpx2.Response(404, request=REQUEST), body={"error": 1}),
            STRANGER,
        ),
        (openai.APIError("The engine\nfailed", REQUEST, body=None), "The engine failed"),
        (
            MemoryError(),
            "Too little memory: this process was refused what it asked for (ulimit -v limits it too)",
        ),
        (KeyError("x"), "unexpected KeyError: 'x' (phiserve --debug … shows where)"),
    ],
)
def test_sentence(error: Exception, said: str) -> None:
    """Ours as they are, the server's message, the system's words; what nobody foresaw by its name."""
    assert sentence(error) == said
