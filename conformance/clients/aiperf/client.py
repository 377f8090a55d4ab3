"""aiperf: synthetic texts and images by each of its routes; the tokenizer comes from the server."""

import json
import shutil
from pathlib import Path

from checks import BASE_URL, KEY, MODEL, output_of, run

SERVER = BASE_URL.removesuffix("/v1")
VARIABLES = {"HF_ENDPOINT": SERVER, "HF_TOKEN": KEY, "HF_HUB_DISABLE_TELEMETRY": "1"}
COUNT = 4


def _run(*options: str, kind: str = "chat") -> str:
    """Run it for a few requests, of which all must be answered."""
    folder = Path("artifacts")
    shutil.rmtree(folder, ignore_errors=True)
    output_of(
        *("aiperf", "profile", "--model", MODEL, "--url", SERVER, "--api-key", KEY, "--endpoint-type", kind),
        *("--request-count", str(COUNT), "--ui", "none", "--artifact-dir", str(folder), *options),
        **VARIABLES,
    )
    (report,) = folder.rglob("profile_export_aiperf.json")
    measures = json.loads(report.read_text())
    answered, failed = measures["request_count"]["avg"], measures.get("error_request_count") or {}
    assert (answered, failed.get("avg", 0)) == (COUNT, 0), (answered, failed)
    return f"{answered:g} requests, none failed"


def default() -> str:
    """Texts, by chat completions."""
    return _run()


def stream() -> str:
    """Streamed."""
    return _run("--streaming")


def picture() -> str:
    """Images."""
    return _run("--streaming", "--image-width-mean", "320", "--image-height-mean", "240", "--osl", "16")


def completions() -> str:
    """Texts, by completions."""
    return _run("--osl", "16", kind="completions")


def responses() -> str:
    """Texts, by responses."""
    return _run("--streaming", kind="responses")


run(
    {
        "default": default,
        "stream": stream,
        "picture": picture,
        "completions": completions,
        "responses": responses,
    }
)
