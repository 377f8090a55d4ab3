"""Processes that do one thing and end: this tree's own code, in the interpreter that runs the harness."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
QUIET = {
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_NO_USAGE_STATS": "1",
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "PYTHONWARNINGS": "ignore",
}
"""For every process alike, so that no server writes more log than another."""

PLAIN = {"VLLM_PLUGINS": ""}
"""vLLM without our plugin."""


def environment(**variables: str) -> dict[str, str]:
    """The environment of this process with the tree's packages on the path; settings of phiserve's are left
    out.
    """
    path = [str(ROOT / "server"), str(ROOT)]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PHISERVE_")}
    own = {"PYTHONPATH": os.pathsep.join(path), "PHISERVE_STATE_URL": "off"}
    return kept | QUIET | own | variables


def run_python(*arguments: str, check: bool = True) -> bool:
    """Run this interpreter and wait; whether it succeeded. Raises CalledProcessError if it did not and
    `check` is set.
    """
    done = subprocess.run(
        [sys.executable, *arguments], env=environment(), check=check, capture_output=not check
    )
    return done.returncode == 0


def json_of(command: list[str], variables: Mapping[str, str], timeout_s: float) -> Any:
    """The last line that a command prints, read as JSON. Raises RuntimeError with the end of what it said if
    there is none.
    """
    try:
        done = subprocess.run(
            command,
            env=dict(variables),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(f"no end within {timeout_s:g} s: {' '.join(command)}") from error
    lines = done.stdout.strip().splitlines()
    try:
        return json.loads(lines[-1])
    except (IndexError, ValueError):
        raise RuntimeError(f"{' '.join(command)}\n{(done.stdout + done.stderr)[-3000:]}") from None
