"""Where settings come from: a YAML file, then environment variables (PHISERVE_PORT, …), then flags."""

import logging
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from pydantic import ValidationError

from phiserve.config import Settings
from phiserve.errors import StartupError

_LOG = logging.getLogger(__name__)

ENV_PREFIX = "PHISERVE_"
ENV_ENGINE_PREFIX = "PHISERVE_ENGINE__"
_KUBERNETES = re.compile(r"_SERVICE_(HOST|PORT)|_TCP(_|$)")
"""Variables that Kubernetes sets by itself where a service is called phiserve.

The rest of them have values that begin with tcp://.
"""

RENAMED_SETTINGS = {"crop_budget": "max_crops", "picture_workers": "image_workers"}
"""Old name -> new name. Old names are read for one more release, each with a warning."""

_STRING_SETTINGS = frozenset(
    {
        *("model", "served_model_name", "host", "api_key", "keys_file", "limits_url", "state_url"),
        *("files_url", "image_folder", "decision_temperatures"),
    }
)
"""Settings whose variables are never parsed as YAML.

As YAML, an API key `null` would be no key, and `0123` the number 83.
"""


@dataclass(frozen=True, slots=True)
class _Layer:
    """What one source says: settings by name, and arguments of the engine."""

    settings: dict[str, object] = field(default_factory=dict)
    engine: dict[str, object] = field(default_factory=dict)


def load_settings(
    file: Path | None = None,
    flags: Mapping[str, object] | None = None,
    engine_flags: Mapping[str, object] | None = None,
) -> Settings:
    """Merge file, environment and flags; later ones win key by key.

    The engine's arguments are merged in the same way. Raises StartupError naming the key.
    """
    layers = [_read_environment(), _Layer(_with_new_names(flags or {}), dict(engine_flags or {}))]
    if file is not None:
        layers.insert(0, _read_file(file))
    settings: dict[str, object] = {}
    engine: dict[str, object] = {}
    for layer in layers:
        settings.update(layer.settings)
        engine.update(layer.engine)
    try:
        return Settings.model_validate({**settings, "engine": engine})
    except ValidationError as error:
        raise _startup_error(error) from None


def _with_new_names(given: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """The settings of one source, renamed ones under their new names.

    In messages, names become environment variables where there is a `prefix`. Raises StartupError where old
    and new name are given with different values.
    """
    settings = {name: value for name, value in given.items() if name not in RENAMED_SETTINGS}
    for old, new in RENAMED_SETTINGS.items():
        if old not in given:
            continue
        old_name, new_name = (f"{prefix}{name.upper()}" if prefix else name for name in (old, new))
        if settings.setdefault(new, given[old]) != given[old]:
            raise StartupError(
                f"Setting {new_name} and its old name {old_name} have different values: remove {old_name}"
            )
        _LOG.warning("Setting %s is now called %s; the next release refuses the old name", old_name, new_name)
    return settings


def _read_file(file: Path) -> _Layer:
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise StartupError(f"The settings file {file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise StartupError(f"The settings file {file} is not text in UTF-8") from None
    except yaml.YAMLError as error:
        raise StartupError(f"The settings file {file} is not valid YAML: {error}") from None
    content = {} if content is None else content
    if not isinstance(content, dict) or not isinstance(content.get("engine") or {}, dict):
        raise StartupError(f"The settings file {file} must hold a mapping, and so must its key engine")
    engine = content.pop("engine", None) or {}
    return _Layer(_with_new_names({str(name): value for name, value in content.items()}), engine)


def _read_environment() -> _Layer:
    """Read settings from variables like `PHISERVE_PORT` and `PHISERVE_ENGINE__MAX_NUM_SEQS`.

    Unknown names are kept: they are an error like an unknown key of the file. Variables that Kubernetes sets
    are left out. Raises StartupError.
    """
    settings: dict[str, object] = {}
    engine: dict[str, object] = {}
    for variable, text in os.environ.items():
        if text.startswith("tcp://") or _KUBERNETES.search(variable):
            continue
        if variable.startswith(ENV_ENGINE_PREFIX):
            engine[variable.removeprefix(ENV_ENGINE_PREFIX).lower()] = parse_value(text)
        elif variable.startswith(ENV_PREFIX):
            name = variable.removeprefix(ENV_PREFIX).lower()
            settings[name] = text if name in _STRING_SETTINGS else parse_value(text)
    return _Layer(_with_new_names(settings, ENV_PREFIX), engine)


def parse_value(text: str) -> object:
    """Parse a value from the environment or a flag as YAML.

    `8` is a number, `[1, 2]` a list. Raises StartupError.
    """
    try:
        value: object = yaml.safe_load(text)
    except yaml.YAMLError:
        raise StartupError(f"The value {text!r} is not valid YAML") from None
    return value


def _startup_error(error: ValidationError) -> StartupError:
    detail = error.errors(include_url=False)[0]
    key = ".".join(str(step) for step in detail["loc"])
    reason = "there is no such setting" if detail["type"] == "extra_forbidden" else detail["msg"].lower()
    return StartupError(f"Setting {key}: {reason}")
