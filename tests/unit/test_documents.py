"""What the documents say is held against the tree."""

import re
from pathlib import Path

import pytest

from phiserve.config import Settings
from phiserve.protocol.compatibility import EXTRA_FIELDS, OPENAI_FIELDS

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "server" / "phiserve"


def test_architecture_lists_every_module() -> None:
    """One line for each module, and no line for a module that is gone."""
    modules = {str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py") if path.name != "__init__.py"}
    listed = re.findall(r"^\| `([\w/]+\.py)` \|", (ROOT / "ARCHITECTURE.md").read_text(), re.M)
    assert sorted(listed) == sorted(modules)


def test_readme_lists_every_parameter() -> None:
    """The served parameters are those of the table."""
    text = (ROOT / "README.md").read_text()
    section = text[text.index("Served parameters:") : text.index("Any other is answered")]
    served = {name for name, field in OPENAI_FIELDS.items() if field.support == "served"} - {"model"}
    assert set(re.findall(r"`(\w+)`", section)) == served | {*EXTRA_FIELDS}


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "ARCHITECTURE.md"])
def test_files_that_are_named_exist(name: str) -> None:
    """Paths in the documents lead somewhere."""
    for path in re.findall(r"(?:configs|clients|benchmarks|tests)/[\w./]+\w", (ROOT / name).read_text()):
        assert (ROOT / path).exists(), path


def test_variables_named_in_the_readme_are_settings() -> None:
    """PHISERVE_… variables in the README are settings or engine arguments."""
    for name in re.findall(r"PHISERVE_(\w+)=", (ROOT / "README.md").read_text()):
        assert name.startswith("ENGINE__") or name.lower() in Settings.model_fields
