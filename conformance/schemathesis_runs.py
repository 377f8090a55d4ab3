"""Runs schemathesis' command on an OpenAPI document and reads, for each operation, what each of its checks
found.
"""

import json
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from conformance.environment import PYTHON
from conformance.outcomes import SUITE_TIMEOUT_S, Outcome, environment
from conformance.suites import KEY, OUR_DOCUMENT, PLUGINS, Suite

REQUEST_TIMEOUT_S = 60
EXAMPLES = 30
"""Generated requests for each operation and phase; the same ones each time."""


def run_schemathesis(suite: Suite, url: str) -> list[Outcome]:
    """One outcome for each operation and check; one that is skipped where the document is not on this
    machine.
    """
    (document,) = suite.files
    ours = document == OUR_DOCUMENT
    if not ours and not Path(document).exists():
        reason = (
            "the document is not on this machine; GOLDEN_VECTORS names the folder that holds reference/openai"
        )
        return [Outcome(suite.name, "all operations", "skipped", reason)]
    hooks = {"SCHEMATHESIS_HOOKS": f"{PLUGINS}.schemathesis_{'short' if ours else 'openai'}"}
    with TemporaryDirectory() as folder:
        events = Path(folder, "events")
        done = subprocess.run(
            [
                *_command(document.format(url=url), url if ours else f"{url}/v1"),
                *suite.options,
                f"--report-ndjson-path={events}",
            ],
            cwd=folder,
            env=environment(suite, url, events) | hooks,
            capture_output=True,
            text=True,
            timeout=SUITE_TIMEOUT_S,
            check=False,
        )
        if not events.exists():
            raise RuntimeError(f"{suite.name} did not run:\n{(done.stdout + done.stderr)[-4000:]}")
        with events.open(encoding="utf-8") as lines:
            return _outcomes(suite.name, map(json.loads, lines))


def _command(document: str, url: str) -> list[str]:
    bounds = ["--generation-deterministic", f"--max-examples={EXAMPLES}", "--no-shrink"]
    report = ["--report=ndjson", "--continue-on-failure", f"--request-timeout={REQUEST_TIMEOUT_S}"]
    key = f"--header=Authorization:Bearer {KEY}"
    return [str(PYTHON), "-m", "schemathesis.cli", "run", document, f"--url={url}", key, *bounds, *report]


def _outcomes(suite: str, events: Iterable[dict[str, Any]]) -> list[Outcome]:
    """A check that failed once has failed."""
    found: dict[str, Outcome] = {}
    for test, failure in _checks(events):
        if failure is not None or test not in found:
            found[test] = Outcome(suite, test, "passed" if failure is None else "failed", failure or "")
    return list(found.values())


def _checks(events: Iterable[dict[str, Any]]) -> Iterator[tuple[str, str | None]]:
    """Operation and check, and how it failed, if it did."""
    for event in events:
        if error := event.get("NonFatalError"):
            yield f"{error['label']}: answers", f"{error['value']['type']}: {error['value']['message']}"
        if scenario := event.get("ScenarioFinished"):
            recorder = scenario["recorder"]
            for check in (check for checks in recorder.get("checks", {}).values() for check in checks):
                failure = check.get("failure_info", {}).get("failure")
                yield (
                    f"{recorder['label']}: {check['name']}",
                    failure and f"{failure['title']}: {failure['message']}",
                )
