"""inference-perf: random texts and images by completions and chat; the tokenizer comes from the server."""

import json
import shutil
from pathlib import Path
from typing import Any

from checks import BASE_URL, KEY, output_of, run

SERVER = BASE_URL.removesuffix("/v1")
VARIABLES = {"HF_ENDPOINT": SERVER, "HF_TOKEN": KEY, "HF_HUB_DISABLE_TELEMETRY": "1"}
COUNT = 4
LENGTH = {"min": 8, "max": 16, "mean": 12, "std_dev": 2, "total_count": COUNT}
LENGTHS = {"input_distribution": LENGTH, "output_distribution": LENGTH}
PREFIXED = {
    "type": "shared_prefix",
    "shared_prefix": {
        "num_groups": 2,
        "num_prompts_per_group": 2,
        "system_prompt_len": 12,
        "question_len": 12,
        "output_len": 12,
    },
}
"""Its only made-up texts for chat."""

IMAGE = {"count": {"min": 1, "max": 1, "mean": 1, "std_dev": 0}, "resolutions": {"height": 240, "width": 320}}
SHAPE = {
    "type": "object",
    "properties": {"shape": {"enum": ["circle", "square"]}, "red": {"type": "boolean"}},
    "required": ["shape", "red"],
}


def _run(data: dict[str, Any], **api: Any) -> str:
    """Run it for a few requests, of which all must be answered; it finds the model's name by itself."""
    folder = Path("reports").resolve()
    shutil.rmtree(folder, ignore_errors=True)
    config = {
        "api": api,
        "data": data,
        "load": {
            "type": "concurrent",
            "stages": [{"num_requests": COUNT, "concurrency_level": 2}],
            "num_workers": 1,
        },
        "server": {"base_url": SERVER, "api_key": KEY},
        "storage": {"local_storage": {"path": str(folder)}},
    }
    file = Path("config.yaml")
    file.write_text(json.dumps(config))
    output_of("inference-perf", "--config_file", str(file), **VARIABLES)
    report = json.loads((folder / "summary_lifecycle_metrics.json").read_text())
    counts = report["successes"]["count"], report["failures"]["count"]
    assert counts == (COUNT, 0), counts
    return f"{COUNT} requests, none failed"


def default() -> str:
    """Random texts, by completions."""
    return _run(LENGTHS | {"type": "random"})


def chat() -> str:
    """Made-up texts, by chat completions."""
    return _run(PREFIXED, type="chat")


def stream() -> str:
    """Streamed, by both."""
    completions = _run(LENGTHS | {"type": "random"}, type="completion", streaming=True)
    return f"{completions}; by chat {_run(PREFIXED, type='chat', streaming=True)}"


def picture() -> str:
    """Images beside texts, by chat completions."""
    return _run(LENGTHS | {"type": "synthetic", "multimodal": {"image": IMAGE}}, type="chat")


def structured() -> str:
    """A schema as the form of the answers."""
    form = {"type": "json_schema", "name": "shape", "json_schema": SHAPE}
    return _run(PREFIXED, type="chat", response_format=form)


run({"default": default, "chat": chat, "stream": stream, "picture": picture, "structured": structured})
