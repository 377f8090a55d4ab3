"""The snippets of README.md and docs/."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
_FENCE = re.compile(
    r"(?:<!-- not run: (?P<reason>[^\n]+) -->\n)?^```(?P<language>\w*)\n(?P<code>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True)
class Snippet:
    """A fenced block. `reason` says why it is not run, if it is not."""

    page: str
    number: int
    language: str
    code: str
    reason: str | None

    @property
    def starts_a_server(self) -> bool:
        """Whether it would serve until it is ended."""
        return re.search(r"\bphiserve serve\b", self.code) is not None

    def __str__(self) -> str:
        return f"{self.page}-{self.number}-{self.language}"


def snippets(*languages: str) -> list[Snippet]:
    """All snippets in these languages that are to be run."""
    return [snippet for snippet in all_snippets() if snippet.language in languages and snippet.reason is None]


def all_snippets() -> list[Snippet]:
    """Every fenced block of every page."""
    return [
        Snippet(page.name, number, match["language"], match["code"], match["reason"])
        for page in PAGES
        for number, match in enumerate(_FENCE.finditer(page.read_text(encoding="utf-8")), 1)
    ]
