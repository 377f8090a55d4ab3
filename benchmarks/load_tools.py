"""The load generators of part `tools`: how each is told what to ask our server, in its own flags."""

from dataclasses import dataclass
from pathlib import Path

from benchmarks.workloads import MODEL

FILES = Path(__file__).parent / "tool_files"
CLIENTS = "4"
"""Requests at a time, of every tool."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A name, the distribution it comes in (none: the project's environment), and its command for a
    server.
    """

    name: str
    package: str | None
    command: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Task:
    """What all are told: the server's URL, a folder with the model's tokenizer, a file of `count` images with
    questions as vLLM's `custom_image` reads them, and for how long those go on that count no requests.
    """

    url: str
    tokenizer: Path
    questions: Path
    count: int
    seconds: int


def load_tools(task: Task) -> list[Tool]:
    """All, in the order they are run."""
    return [
        _vllm_random_images(task),
        _vllm_own_images(task),
        _aiperf(task),
        _guidellm(task),
        _locust(task),
        _k6(task),
    ]


def _vllm_random_images(task: Task) -> Tool:
    command = (
        *_vllm("random-mm", task),
        *(
            "--max-concurrency",
            CLIENTS,
            "--random-input-len",
            "64",
            "--random-output-len",
            "16",
            "--ignore-eos",
        ),
        *("--random-mm-base-items-per-request", "1"),
        *("--random-mm-bucket-config", "{(480, 640, 1): 1.0}"),
    )
    return Tool("vllm bench serve, random-mm", None, command)


def _vllm_own_images(task: Task) -> Tool:
    command = (
        *_vllm("custom_image", task),
        *("--dataset-path", str(task.questions), "--custom-output-len", "16", "--max-concurrency", CLIENTS),
    )
    return Tool("vllm bench serve, custom_image", None, command)


def _vllm(dataset: str, task: Task) -> tuple[str, ...]:
    return (
        *("-m", "benchmarks.vllm_bench", "--backend", "openai-chat", "--endpoint", "/v1/chat/completions"),
        *("--dataset-name", dataset, "--base-url", task.url, "--model", MODEL),
        *("--tokenizer", str(task.tokenizer), "--num-prompts", str(task.count)),
    )


def _aiperf(task: Task) -> Tool:
    command = (
        *("profile", "--model", MODEL, "--url", task.url, "--endpoint-type", "chat", "--streaming"),
        *("--concurrency", CLIENTS, "--request-count", str(task.count)),
        *("--image-width-mean", "640", "--image-height-mean", "480", "--osl", "16", "--isl", "64"),
        *("--tokenizer", "builtin"),  # it looks for any other on the hub
    )
    return Tool("aiperf", "aiperf", command)


def _guidellm(task: Task) -> Tool:
    backend = f"kind=openai_http,target={task.url},model={MODEL},request_format=/v1/chat/completions"
    command = (
        *("run", "--backend", backend),
        *("--data", "kind=synthetic_text,prompt_tokens=64,output_tokens=16"),
        *("--tokenizer", f"kind=hf_auto,model={task.tokenizer}"),
        *("--profile", f"kind=concurrent,streams={CLIENTS}"),
        *("--constraint", f"kind=max_duration,seconds={task.seconds}"),
    )
    return Tool("guidellm", "guidellm", command)


def _locust(task: Task) -> Tool:
    command = (
        *("--locustfile", str(FILES / "locustfile.py"), "--headless", "--only-summary"),
        *("--users", CLIENTS, "--spawn-rate", CLIENTS),
        *("--run-time", f"{task.seconds}s", "--host", task.url),
    )
    return Tool("locust", "locust", command)


def _k6(task: Task) -> Tool:
    command = ("run", "--vus", CLIENTS, "--duration", f"{task.seconds}s", str(FILES / "chat.js"))
    return Tool("k6", "k6", command)
