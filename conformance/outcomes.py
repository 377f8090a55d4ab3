"""Runs a suite of pytest's against a server and reads the outcome of each of its tests."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from conformance.environment import HUB, PYTHON, ROOT
from conformance.suites import Suite

SUITE_TIMEOUT_S = 900
TEST_TIMEOUT_S = 120


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one test. `detail` is its error's message or why it was skipped; a test that asks no
    server is left out.
    """

    suite: str
    test: str
    outcome: Literal["passed", "failed", "skipped", "left out"]
    detail: str


def run_pytest(suite: Suite, url: str) -> list[Outcome]:
    """Run the files of a suite with pytest in the suites' environment."""
    with TemporaryDirectory() as folder:
        outcomes = Path(folder, "outcomes")
        log = Path(folder, "log")
        with log.open("w") as output:
            subprocess.run(
                _command(suite),
                cwd=suite.folder,
                env=environment(suite, url, outcomes),
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=SUITE_TIMEOUT_S,
                check=False,
            )
        if not outcomes.exists():
            raise RuntimeError(f"{suite.name} did not run:\n{log.read_text()[-4000:]}")
        return [Outcome(suite.name, **json.loads(line)) for line in outcomes.read_text().splitlines()]


def _command(suite: Suite) -> list[str]:
    """Their files, without their pytest settings (parallel workers, warnings) and with our recorder."""
    recorder = [
        "-c",
        os.devnull,
        "--rootdir",
        suite.folder,
        "-p",
        "conformance.plugins.recorder",
        "-p",
        "no:cacheprovider",
    ]
    asynchronous = ["-o", "asyncio_mode=auto", "-o", "asyncio_default_test_loop_scope=session"]
    return [
        str(PYTHON),
        "-m",
        "pytest",
        *recorder,
        *asynchronous,
        f"--timeout={TEST_TIMEOUT_S}",
        *suite.options,
        *suite.files,
    ]


def environment(suite: Suite, url: str, outcomes: Path) -> dict[str, str]:
    """What a suite's process is told."""
    path = [str(ROOT), str(ROOT / "server"), os.environ.get("PYTHONPATH", "")]
    return os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, path)),
        "CONFORMANCE_URL": url,
        "CONFORMANCE_MODEL": suite.server.model,
        "CONFORMANCE_OUTCOMES": str(outcomes),
        "TEST_API_BASE_URL": f"{url}/v1",
        "HF_HUB_CACHE": str(HUB),
        "HF_HUB_OFFLINE": "1",
    }
