"""lmms-eval: a task about an image with its model for such servers, to its samples and scores."""

import json
import shutil
from pathlib import Path

from checks import BASE_URL, IMAGE, KEY, MODEL, QUESTION, output_of, run, said

TASK = Path("task").resolve()
FAILED = "LMMS_EVAL_REQUEST_FAILED"


def _run(model: str) -> str:
    """Evaluate; every question must be answered."""
    shutil.rmtree(TASK, ignore_errors=True)
    TASK.mkdir()
    questions = (QUESTION, "What color is the shape at the center?")
    lines = [
        json.dumps({"question": question, "image": str(IMAGE.resolve()), "answer": "blue"})
        for question in questions
    ]
    (TASK / "questions.jsonl").write_text("\n".join(lines))
    definition = Path("shapes.yaml").read_text().replace("questions.jsonl", str(TASK / "questions.jsonl"))
    (TASK / "shapes.yaml").write_text(definition)
    shutil.copy("shapes.py", TASK)
    output_of(
        *("python", "-m", "lmms_eval", "--model", model, "--tasks", "shapes", "--include_path", str(TASK)),
        *("--model_args", f"model_version={MODEL},base_url={BASE_URL},api_key={KEY}"),
        *("--output_path", "output", "--log_samples", "--batch_size", "1"),
        HF_HUB_OFFLINE="1",
    )
    (samples,) = Path("output").rglob("*samples_shapes.jsonl")
    answers = [json.loads(line)["filtered_resps"] for line in samples.read_text().splitlines()]
    shutil.rmtree("output")
    assert len(answers) == len(questions), answers
    assert FAILED not in str(answers), answers
    return said(" | ".join(map(str, answers)))


def default() -> str:
    """Its `openai` model."""
    return _run("openai")


def async_openai() -> str:
    """Its `async_openai` model."""
    return _run("async_openai")


run({"default": default, "picture": default, "async_openai": async_openai})
