"""Settings come from file, environment and flags, in that order, and mistakes are named."""

import dataclasses
import re
from pathlib import Path

import pytest
import yaml

from phiserve.config import _TEXT_SETTINGS, Settings, load_settings, parse_value
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
        Settings().port = 1  # type: ignore[misc]


def test_values() -> None:
    """Values of flags and variables are read as YAML."""
    assert [parse_value(text) for text in ("8", "true", "a", "[1, 2]", "null")] == [
        8,
        True,
        "a",
        [1, 2],
        None,
    ]
    with pytest.raises(StartupError):
        parse_value("[")


def test_variables_of_kubernetes_are_not_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Kubernetes service called phiserve sets variables that look like ours."""
    for name, value in {
        "PHISERVE_PORT": "tcp://10.0.0.1:8000",
        "PHISERVE_SERVICE_HOST": "10.0.0.1",
        "PHISERVE_SERVICE_PORT": "8000",
        "PHISERVE_PORT_8000_TCP_PROTO": "tcp",
    }.items():
        monkeypatch.setenv(name, value)
    assert load_settings() == Settings()


@pytest.mark.parametrize("text", ["123", "0123", "null", "~", "yes", "1e5", "[1]"])
def test_text_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """A model may be called 123, and a key of `null` is a key, not the absence of one."""
    monkeypatch.setenv("PHISERVE_SERVED_MODEL_NAME", text)
    monkeypatch.setenv("PHISERVE_API_KEY", text)
    settings = load_settings()
    assert settings.served_model_name == text
    assert settings.api_key is not None
    assert settings.api_key.get_secret_value() == text


def test_an_empty_key_is_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever sets the variable wants a key: an empty one does not open the server."""
    monkeypatch.setenv("PHISERVE_API_KEY", "")
    with pytest.raises(StartupError, match="api_key"):
        load_settings()


def test_text_settings_are_all_the_settings_that_are_text() -> None:
    """A new one must be listed."""
    types = {name: str(field.annotation) for name, field in Settings.model_fields.items()}
    text = {name for name, kind in types.items() if re.search(r"\bstr\b|SecretStr|Path", kind)}
    assert text - {name for name, kind in types.items() if re.match(r"dict|tuple", kind)} == _TEXT_SETTINGS


@pytest.mark.parametrize("name", ["embedded", "cpu", "l4", "a100", "h100"])
def test_shipped_configs(name: str) -> None:
    """Every file in configs/ is valid, names every setting, shows true defaults, and only vLLM's own engine
    arguments.
    """
    from vllm.engine.arg_utils import AsyncEngineArgs

    file = CONFIGS / f"{name}.yaml"
    settings = load_settings(file)
    lines = [line for line in file.read_text().splitlines() if re.match(r"(# )?\w+:", line)]
    shown = {line.removeprefix("# ").split(":")[0]: yaml.safe_load(line.removeprefix("# ")) for line in lines}
    assert set(Settings.model_fields) <= set(shown)
    for key in Settings.model_fields:
        if f"# {key}: {shown[key][key]}" in lines:
            assert getattr(Settings.model_validate(shown[key]), key) == getattr(Settings(), key)
    assert set(settings.engine) <= {field.name for field in dataclasses.fields(AsyncEngineArgs)}


def test_a_body_holds_the_images_that_a_request_may_have() -> None:
    """By default, as data URLs, with room for what goes with them: otherwise the images' own limit would
    never be met.
    """
    settings = Settings()
    as_base64 = -(-settings.max_request_image_bytes // 3) * 4
    assert settings.max_body_bytes - as_base64 >= 2**20
