"""Settings come from file, environment and flags, in that order, and mistakes are named."""

from pathlib import Path

import pytest

from phiserve.config import Settings, load_settings, parse_value
from phiserve.errors import StartupError

CONFIGS = Path(__file__).parents[2] / "configs"


def test_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Flags beat the environment, which beats the file, key by key within `engine` too."""
    file = tmp_path / "settings.yaml"
    file.write_text("port: 1\nhost: a\nmax_images: 3\nengine: {seed: 1, max_num_seqs: 2, dtype: float32}\n")
    monkeypatch.setenv("PHISERVE_PORT", "2")
    monkeypatch.setenv("PHISERVE_HOST", "b")
    monkeypatch.setenv("PHISERVE_ENGINE__MAX_NUM_SEQS", "3")
    settings = load_settings(file, {"port": 4, "engine": {"seed": 5}})
    assert (settings.port, settings.host, settings.max_images) == (4, "b", 3)
    assert settings.engine == {"seed": 5, "max_num_seqs": 3, "dtype": "float32"}


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("prot: 8000", "prot"),
        ("port: many", "port"),
        ("port: 70000", "port"),
        ("[1]", "mapping"),
        ("engine: 3", "mapping"),
        ("a: b: c", "YAML"),
    ],
)
def test_bad_files(tmp_path: Path, content: str, named: str) -> None:
    """One sentence that names the key or the file."""
    file = tmp_path / "settings.yaml"
    file.write_text(content)
    with pytest.raises(StartupError, match=named):
        load_settings(file)


def test_bad_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that names no setting is an error, not ignored."""
    monkeypatch.setenv("PHISERVE_PROT", "1")
    with pytest.raises(StartupError, match="prot"):
        load_settings()


def test_missing_file(tmp_path: Path) -> None:
    """A file that is not there is told by name."""
    with pytest.raises(StartupError, match=r"nothing\.yaml"):
        load_settings(tmp_path / "nothing.yaml")


def test_frozen() -> None:
    """Settings do not change after start-up."""
    with pytest.raises(ValueError, match="frozen"):
        Settings().port = 1


def test_values() -> None:
    """Values of flags and variables are read as YAML."""
    assert [parse_value(text) for text in ("8", "true", "a", "[1, 2]", "null")] == [8, True, "a", [1, 2], None]
    with pytest.raises(StartupError):
        parse_value("[")


@pytest.mark.parametrize("name", ["embedded", "cpu", "l4", "a100", "h100"])
def test_shipped_configs(name: str) -> None:
    """Every file in configs/ is complete and valid."""
    file = CONFIGS / f"{name}.yaml"
    load_settings(file)
    named = {line.split(":")[0].lstrip("# ") for line in file.read_text().splitlines() if ":" in line}
    assert set(Settings.model_fields) <= named
