"""Settings come from file, environment and flags, in that order, and mistakes are named."""

import dataclasses
import re
from pathlib import Path

import pytest
import yaml

from phiserve.config import Settings
from phiserve.config_sources import _STRING_SETTINGS, RENAMED_SETTINGS, load_settings, parse_value
from phiserve.errors import StartupError

CONFIGS = Path(__file__).parents[2] / "configs"


def test_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Flags beat the environment, which beats the file, key by key within `engine` too."""
    file = tmp_path / "settings.yaml"
    file.write_text("port: 1\nhost: a\nmax_images: 3\nengine: {seed: 1, max_num_seqs: 2, dtype: float32}\n")
    monkeypatch.setenv("PHISERVE_PORT", "2")
    monkeypatch.setenv("PHISERVE_HOST", "b")
    monkeypatch.setenv("PHISERVE_ENGINE__MAX_NUM_SEQS", "3")
    settings = load_settings(file, {"port": 4}, {"seed": 5})
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


def _file(folder: Path, **settings: object) -> Path:
    """A settings file."""
    path = folder / "settings.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


def _load_from(layer: str, folder: Path, monkeypatch: pytest.MonkeyPatch, **given: object) -> Settings:
    """Load settings that one layer gives."""
    if layer == "file":
        return load_settings(_file(folder, **given))
    if layer == "flags":
        return load_settings(None, given)
    for name, value in given.items():
        monkeypatch.setenv(f"PHISERVE_{name.upper()}", str(value))
    return load_settings()


def _as_written(layer: str, name: str) -> str:
    """A setting's name as a layer spells it."""
    return f"PHISERVE_{name.upper()}" if layer == "environment" else name


@pytest.mark.parametrize("layer", ["file", "environment", "flags"])
@pytest.mark.parametrize(("old", "new"), RENAMED_SETTINGS.items())
def test_renamed_settings(
    layer: str,
    old: str,
    new: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The old name still works, with one warning that names the new one, which alone is a setting."""
    assert getattr(_load_from(layer, tmp_path, monkeypatch, **{old: 3}), new) == 3
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert f"{_as_written(layer, old)} is now called {_as_written(layer, new)}" in record.getMessage()
    assert old not in Settings.model_fields


@pytest.mark.parametrize("layer", ["file", "environment", "flags"])
@pytest.mark.parametrize(("old", "new"), RENAMED_SETTINGS.items())
def test_both_names_at_once(
    layer: str, old: str, new: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Equal values are fine; of different ones none is preferred, and both names are told."""
    assert getattr(_load_from(layer, tmp_path, monkeypatch, **{old: 3, new: 3}), new) == 3
    with pytest.raises(StartupError, match="different values") as raised:
        _load_from(layer, tmp_path, monkeypatch, **{old: 3, new: 4})
    assert _as_written(layer, old) in str(raised.value)
    assert _as_written(layer, new) in str(raised.value)


def test_old_names_keep_their_layer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable wins over the file, whichever of them has the old name."""
    monkeypatch.setenv("PHISERVE_CROP_BUDGET", "4")
    monkeypatch.setenv("PHISERVE_IMAGE_WORKERS", "5")
    settings = load_settings(_file(tmp_path, max_crops=9, picture_workers=9))
    assert (settings.max_crops, settings.image_workers) == (4, 5)


def test_values_of_renamed_settings_are_judged() -> None:
    """As those of the new name, which the error tells."""
    with pytest.raises(StartupError, match="Setting max_crops: "):
        load_settings(None, {"crop_budget": 0})


def test_engine_arguments_are_plain_values(tmp_path: Path) -> None:
    """What YAML takes for a date is nothing that an engine argument could be."""
    (tmp_path / "settings.yaml").write_text("engine: {seed: 2024-01-01}")
    with pytest.raises(StartupError, match=r"Setting engine\.seed"):
        load_settings(tmp_path / "settings.yaml")


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


@pytest.mark.parametrize("url", ["collector:4318", "grpc://collector:4317", "", "http://"])
def test_traces_go_over_http(url: str) -> None:
    """gRPC has a port of its own at collectors: its URLs are refused at the start, by the setting's name."""
    with pytest.raises(StartupError, match="traces_url"):
        load_settings(flags={"traces_url": url})


@pytest.mark.parametrize("text", ["123", "0123", "null", "~", "yes", "1e5", "[1]"])
def test_strings_are_never_parsed(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """A model may be called 123, and a key of `null` is a key, not the absence of one."""
    monkeypatch.setenv("PHISERVE_SERVED_MODEL_NAME", text)
    monkeypatch.setenv("PHISERVE_API_KEY", text)
    settings = load_settings()
    assert settings.served_model_name == (text,)
    assert settings.api_key is not None
    assert settings.api_key.get_secret_value() == text


def test_an_empty_key_is_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever sets the variable wants a key: an empty one does not open the server."""
    monkeypatch.setenv("PHISERVE_API_KEY", "")
    with pytest.raises(StartupError, match="api_key"):
        load_settings()


def test_string_settings_are_all_the_settings_that_are_strings() -> None:
    """A new one must be listed."""
    types = {name: str(field.annotation) for name, field in Settings.model_fields.items()}
    text = {name for name, kind in types.items() if re.search(r"\bstr\b|SecretStr|Path", kind)}
    lists = {name for name, kind in types.items() if re.match(r"dict|tuple", kind)} - {"served_model_name"}
    assert text - lists == _STRING_SETTINGS


@pytest.mark.parametrize("given", ["a, b/c,", ["a", "b/c"]])
def test_a_model_has_several_names(monkeypatch: pytest.MonkeyPatch, given: str | list[str]) -> None:
    """A list in a file, separated by commas in the environment and in a flag."""
    assert load_settings(flags={"served_model_name": given}).served_model_name == ("a", "b/c")
    if isinstance(given, str):
        monkeypatch.setenv("PHISERVE_SERVED_MODEL_NAME", given)
        assert load_settings().served_model_name == ("a", "b/c")
    with pytest.raises(StartupError, match="served_model_name"):
        load_settings(flags={"served_model_name": ["a", ""]})


@pytest.mark.parametrize("name", ["embedded", "cpu", "l4", "a100", "h100"])
def test_shipped_configs(name: str) -> None:
    """Every file in configs/ is valid, names and describes every setting, shows true defaults, and only
    vLLM's own engine arguments.
    """
    from vllm.engine.arg_utils import AsyncEngineArgs

    file = CONFIGS / f"{name}.yaml"
    settings = load_settings(file)
    text = file.read_text()
    lines = [line for line in text.splitlines() if re.match(r"(# )?\w+:", line)]
    shown = {line.removeprefix("# ").split(":")[0]: yaml.safe_load(line.removeprefix("# ")) for line in lines}
    assert set(Settings.model_fields) <= set(shown)
    for key, field in Settings.model_fields.items():
        assert key == "engine" or re.search(rf"# {re.escape(field.description or '-')}\n(# )?{key}:", text)
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
