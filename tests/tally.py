"""Counts of what was tried and what became of it, held against conformance/HOSTILE.md.

A test fails while the page says something else than has just been seen; `make hostile`
(HOSTILE_RESULTS=write) writes it anew.
"""

import os
import re
from collections import Counter
from collections.abc import Iterable

from snippets import ROOT

PAGE = ROOT / "conformance" / "HOSTILE.md"
RESULTS_ARE_WRITTEN = os.environ.get("HOSTILE_RESULTS") == "write"


def kind_of(status: int, code: str = "", message: str = "") -> str:
    """An outcome's row: status, code and reason, without the place and the numbers that each one has of its
    own.
    """
    if status == 200:
        return "200"
    reason = message.partition(": ")[2]
    reason = re.sub(r"\d+ x \d+", "… x …", re.sub(r"has \d+ x \d+ pixels", "has … x … pixels", reason))
    return f"{status} `{code}`: {reason}"


def hold_against_page(name: str, outcomes: Iterable[str]) -> None:
    """The block `name` of the page has just these outcomes, and as many of each."""
    counts = Counter(outcomes)
    rows = [
        f"| {number} | {kind} |"
        for kind, number in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    ]
    table = "\n".join(["| number | outcome |", "|---|---|", *rows, f"| **{counts.total()}** | in all |"])
    block = re.compile(rf"(<!-- begin {name} -->\n).*?(<!-- end {name} -->)", re.DOTALL)
    page = PAGE.read_text(encoding="utf-8")
    assert block.search(page), name
    expected = block.sub(lambda found: f"{found[1]}{table}\n{found[2]}", page)
    if RESULTS_ARE_WRITTEN:
        PAGE.write_text(expected, encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == expected, "conformance/HOSTILE.md is out of date: make hostile"
