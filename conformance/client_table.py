"""CLIENTS.md: what works with each client, made from the kept results."""

from collections.abc import Sequence

from conformance.client_results import CHECKS, Checked, Result, read_results
from conformance.environment import ROOT

FILE = ROOT / "conformance" / "CLIENTS.md"
_HEAD = """# Real clients against phiserve

Written by `make clients`, which runs each of them, unmodified and in its default settings, in an environment
of its own (its folder in `conformance`), against one server of the embedded demo model.
`tests/e2e/test_recorded_requests.py` replays the requests that they made. A check passes where its user gets
what was asked for: a text, an object that its schema accepts, a tool called with valid arguments whose result
went back. Whether a text is true is another matter: the demo model knows its own images and few words.

✓ works, ✗ does not, — the client has no such thing; reasons are below. *Before* is what stopped the client
when the server knew neither tools nor `/v1/responses`.
"""
_SIGNS = {True: "✓", False: "✗", None: "—"}


def write_table() -> None:
    """Write the page anew."""
    FILE.write_text(page(read_results()), encoding="utf-8")


def page(results: Sequence[Result]) -> str:
    """The page for these results."""
    lines = [
        f"| client | version | {' | '.join(CHECKS)} | others | before |",
        f"|---|---|{'---|' * len(CHECKS)}---|---|",
        *map(_row, results),
    ]
    parts = [_HEAD, *lines]
    reasons = [line for result in results for line in _reasons(result)]
    if reasons:
        parts += ["\n## What does not work, and what a client does not have\n", *reasons]
    notes = [f"- {result.client.title}: {result.client.note}" for result in results if result.client.note]
    if notes:
        parts += ["\n## Notes\n", *notes]
    return "\n".join(parts) + "\n"


def _row(result: Result) -> str:
    found = {checked.check: checked for checked in result.checks}
    signs = [_sign(found.get(name)) for name in CHECKS]
    others = ", ".join(
        f"{checked.check} {_sign(checked)}" for name, checked in found.items() if name not in CHECKS
    )
    cells = [result.client.title, result.version, *signs, others, result.client.before]
    return f"| {' | '.join(cells)} |"


def _sign(checked: Checked | None) -> str:
    return "" if checked is None else _SIGNS[checked.ok]


def _reasons(result: Result) -> list[str]:
    """A line for each check that did not pass."""
    return [
        f"- {result.client.title}, {checked.check} {_sign(checked)}: {checked.detail}"
        for checked in result.checks
        if checked.ok is not True
    ]
