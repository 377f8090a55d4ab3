"""guidellm: synthetic texts and images by each of its routes; the tokenizer comes from the server."""

import json
from pathlib import Path

from checks import BASE_URL, KEY, output_of, run

SERVER = BASE_URL.removesuffix("/v1")
VARIABLES = {"HF_ENDPOINT": SERVER, "HF_TOKEN": KEY, "HF_HUB_DISABLE_TELEMETRY": "1"}
COUNT = 4
TEXT = "kind=synthetic_text,prompt_tokens=64,output_tokens=16"


def _run(data: str, backend: str = "") -> str:
    """Run it for a few requests, of which none may fail."""
    target = f"kind=openai_http,target={SERVER},api_key={KEY}{backend}"
    report = Path("benchmarks.json")
    report.unlink(missing_ok=True)
    output_of(
        *("guidellm", "run", "--disable-console-interactive", "--backend", target, "--data", data),
        *("--profile", "kind=synchronous", "--constraint", f"kind=max_requests,count={COUNT}"),
        *("--output", f"kind=json,path={report}"),
        **VARIABLES,
    )
    (benchmark,) = json.loads(report.read_text())["benchmarks"]
    totals = benchmark["metrics"]["request_totals"]
    assert totals["errored"] == totals["incomplete"] == 0, totals
    assert totals["successful"] >= COUNT - 1, totals  # it may count the last as outside its measured time
    return f"{totals['successful']} requests, none failed"


def default() -> str:
    """Texts, by chat completions; streamed."""
    return _run(TEXT)


def picture() -> str:
    """Images."""
    return _run("kind=synthetic_image,width=320,height=240,output_tokens=16")


def whole() -> str:
    """Texts, not streamed."""
    return _run(TEXT, ",stream=false")


def completions() -> str:
    """Texts, by completions."""
    return _run(TEXT, ",request_format=/v1/completions")


def responses() -> str:
    """Texts, by responses."""
    return _run(TEXT, ",request_format=/v1/responses")


run(
    {
        "default": default,
        "stream": default,
        "picture": picture,
        "whole": whole,
        "completions": completions,
        "responses": responses,
    }
)
