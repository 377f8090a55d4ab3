"""What the documents say is held against the tree."""

import importlib.util
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from phiserve.cli.main import app
from phiserve.config import Settings
from phiserve.config_sources import load_settings
from phiserve.protocol.compatibility import OPENAI_FIELDS, VLLM_FIELDS
from snippets import PAGES, ROOT, Snippet, all_snippets, snippets


def blocks(text: str) -> list[str]:
    """The fenced blocks of a page."""
    return re.findall(r"^```\w*\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def test_readme_lists_every_parameter() -> None:
    """The served parameters are those of the table."""
    text = (ROOT / "README.md").read_text()
    section = text[text.index("Served parameters:") : text.index("Any other is answered")]
    table = OPENAI_FIELDS | VLLM_FIELDS
    served = {name for name, field in table.items() if field.support == "served"} - {"model"}
    assert set(re.findall(r"`(\w+)`", section)) == served


@pytest.mark.parametrize(
    "page", [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "ARCHITECTURE.md"], ids=lambda page: page.name
)
def test_files_that_are_named_exist(page: Path) -> None:
    """Paths in the documents lead somewhere, and so do links and their anchors."""
    text = page.read_text()
    for path in re.findall(r"(?<![\w./])(?:configs|clients|benchmarks|tests|docs)/[\w./-]+\w", text):
        assert (ROOT / path).exists(), path
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)#?([^)\s]*)\)", text):
        file = page.parent / target if target else page
        assert file.exists(), target
        if not anchor:
            continue
        headings = [
            re.sub(r"[^\w -]", "", line).strip().lower().replace(" ", "-")
            for line in file.read_text().splitlines()
        ]
        assert anchor in headings, anchor


def test_promises_have_their_tests() -> None:
    """Every test that docs/reliability.md names is there, and every promise names one."""
    text = (ROOT / "docs" / "reliability.md").read_text()
    for row in re.findall(r"^\| (?!Promise)(.*) \|$", text, re.MULTILINE):
        named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", row.rpartition(" | ")[2])
        assert named, row
        for file, name in named:
            assert f"def {name}(" in (ROOT / file).read_text(), f"{file}::{name}"


@pytest.mark.parametrize(
    "page", [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "conformance" / "README.md"], ids=lambda page: page.name
)
def test_targets_of_make_exist(page: Path) -> None:
    """What the documents have make do, at the beginning of a line or in the midst of one, the Makefile
    knows.
    """
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M))
    text = page.read_text()
    commands = re.findall(r"`make ([^`]+)`", text) + re.findall(
        r"^make ([^#\n]+)", "\n".join(blocks(text)), re.M
    )
    named = {word for command in commands for word in shlex.split(command) if "=" not in word}
    assert named <= targets
    assert named or page.name != "CONTRIBUTING.md"


@pytest.mark.parametrize(
    "page", [ROOT / "ARCHITECTURE.md", *sorted((ROOT / "docs").glob("*.md"))], ids=lambda page: page.name
)
def test_generated_tables_are_the_code_s(page: Path) -> None:
    """Otherwise `make docs` writes them anew."""
    spec = importlib.util.spec_from_file_location("docs_write", ROOT / "docs" / "write.py")
    assert spec is not None
    assert spec.loader is not None
    write = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(write)
    assert page.read_text() == write.page_as_it_should_be(page)


def test_totals_of_the_fields() -> None:
    """As many as the tables have rows of each kind, a table a sentence."""
    text = (ROOT / "docs" / "api.md").read_text()
    for block, sentence in (("openai_fields", "Of OpenAI's"), ("extra_fields", "Of vLLM's own")):
        table = text.partition(f"<!-- begin {block} -->")[2].partition("<!-- end")[0]
        told = text.partition(sentence)[2].partition(".")[0]
        for support in ("served", "accepted", "refused"):
            rows = len(re.findall(rf"^\| `\w+` \| {support} \|", table, re.M))
            assert f" {rows} {support}" in told or not rows


def test_every_snippet_is_run_or_says_why_not() -> None:
    """Languages that no test runs are not used."""
    assert {snippet.language for snippet in all_snippets()} <= {"sh", "python", "yaml"}
    assert all(len(snippet.reason) > 10 for snippet in all_snippets() if snippet.reason is not None)


@pytest.mark.parametrize("snippet", snippets("yaml"), ids=str)
def test_settings_files(snippet: Snippet, tmp_path: Path) -> None:
    """Files of settings are valid."""
    (tmp_path / "settings.yaml").write_text(snippet.code)
    load_settings(tmp_path / "settings.yaml")


@pytest.mark.parametrize("snippet", [s for s in snippets("sh") if s.starts_a_server], ids=str)
def test_commands_that_serve(snippet: Snippet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command that starts a server is one, up to the point where it would load the engine."""
    from phiserve import launcher

    served: list[Settings] = []
    monkeypatch.setattr(launcher, "serve", lambda settings, *rest: served.append(settings))
    monkeypatch.chdir(ROOT)
    lines = [line.split("#")[0].strip() for line in snippet.code.replace("\\\n", " ").splitlines()]
    for words in (shlex.split(line) for line in lines if line):
        variables = [word for word in words if re.match(r"[A-Z_]+=", word)]
        for name, value in (word.split("=", 1) for word in variables):
            monkeypatch.setenv(name, value)
        command = words[len(variables) + (words[0] == "export") :]
        if command:
            assert command[0] == "phiserve"
            assert CliRunner().invoke(app, command[1:]).exit_code == 0
    assert len(served) == snippet.code.count("phiserve serve")


def test_variables_named_in_the_readme_are_settings() -> None:
    """PHISERVE_… variables in the README are settings or engine arguments."""
    for name in re.findall(r"PHISERVE_(\w+)=", (ROOT / "README.md").read_text()):
        assert name.startswith("ENGINE__") or name.lower() in Settings.model_fields
