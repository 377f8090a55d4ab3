"""Settings: a YAML file, then environment variables (PHISERVE_PORT, …), then flags; read once and frozen."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, DirectoryPath, Field, SecretStr, ValidationError

from phiserve.errors import StartupError

MIB = 2**20
ENV_PREFIX = "PHISERVE_"
ENV_ENGINE_PREFIX = "PHISERVE_ENGINE__"
_KUBERNETES = re.compile(r"_SERVICE_(HOST|PORT)|_TCP(_|$)")
"""Variables that Kubernetes sets by itself where a service is called phiserve; the rest of them begin with
tcp://."""


class Settings(BaseModel):
    """All settings of a server. Every field is a key of the YAML file and, in capitals after `PHISERVE_`, a
    variable.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    model: Annotated[
        str | None,
        Field(
            description="Folder, hub repository, phiserve-demo or phiserve-blank; none serves phiserve-demo."
        ),
    ] = None
    served_model_name: Annotated[
        str | None, Field(description="Name clients send; defaults to the model's own.")
    ] = None
    host: Annotated[str, Field(description="Address to listen on.")] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535, description="Port to listen on; 0 takes a free one.")] = 8000
    api_key: Annotated[
        SecretStr | None, Field(min_length=1, description="Key that clients must send; none: no key.")
    ] = None
    cors_origins: Annotated[
        tuple[str, ...],
        Field(description="Web pages' origins that browsers may call from, or *; none: no CORS headers."),
    ] = ()
    max_body_bytes: Annotated[int, Field(ge=1024, description="Largest request body read.")] = 132 * MIB
    max_images: Annotated[int, Field(ge=0, description="Most images in a request.")] = 16
    max_image_bytes: Annotated[int, Field(ge=1, description="Largest file of one image.")] = 20 * MIB
    max_image_pixels: Annotated[int, Field(ge=1, description="Most pixels of one image.")] = 64_000_000
    max_request_image_bytes: Annotated[
        int, Field(ge=1, description="Most bytes of all image files of a request.")
    ] = 96 * MIB
    max_request_image_pixels: Annotated[
        int, Field(ge=1, description="Most pixels of all images of a request.")
    ] = 256_000_000
    max_image_aspect_ratio: Annotated[
        float, Field(ge=1, le=336, description="Most of long side to short side.")
    ] = 336
    image_hosts: Annotated[
        tuple[str, ...],
        Field(
            description="Hosts that images are fetched from: names, *.names or *; none: nothing is fetched."
        ),
    ] = ()
    image_fetch_timeout_s: Annotated[
        float, Field(gt=0, description="Seconds within which an image must have come.")
    ] = 10.0
    image_folder: Annotated[
        DirectoryPath | None, Field(description="Folder below which file:// URLs are read; none: no files.")
    ] = None
    extra_image_formats: Annotated[
        tuple[Literal["AVIF", "HEIC"], ...],
        Field(description="Formats served beside JPEG, PNG, WEBP, GIF, BMP: AVIF, HEIC (needs pillow-heif)."),
    ] = ()
    max_crops: Annotated[
        int | None, Field(ge=1, le=64, description="Crops of an image at most; none: the model's.")
    ] = None
    answer_reserve_tokens: Annotated[
        int,
        Field(
            ge=1, description="What `detail: auto` leaves for an answer whose length the request leaves open."
        ),
    ] = 64
    image_workers: Annotated[int | None, Field(ge=1, description="Threads for images; none: one a core.")] = (
        None
    )
    sse_keepalive_s: Annotated[
        float | None,
        Field(gt=0, description="Seconds of silence after which a stream sends a comment; none: never."),
    ] = None
    ready_timeout_s: Annotated[
        float, Field(gt=0, description="Seconds within which the engine must answer /ready.")
    ] = 5.0
    shutdown_grace_s: Annotated[int, Field(ge=0, description="Seconds running requests get on SIGTERM.")] = 10
    engine: Annotated[dict[str, Any], Field(description="vLLM's engine arguments by their own names.")] = {}


_TEXT_SETTINGS = frozenset({"model", "served_model_name", "host", "api_key", "image_folder"})
"""Settings whose variables are taken as they are: read as YAML, a key of `null` would be no key, and `0123`
another one."""


def load_settings(file: Path | None = None, flags: Mapping[str, Any] | None = None) -> Settings:
    """Merge file, environment and flags, later ones winning key by key (`engine` too). Raises StartupError
    naming the key.
    """
    merged: dict[str, Any] = {}
    for layer in (_read_file(file) if file else {}, _read_environment(), flags or {}):
        engine = {**merged.get("engine", {}), **layer.get("engine", {})}
        merged.update(layer)
        merged["engine"] = engine
    try:
        return Settings(**merged)
    except ValidationError as error:
        raise _startup_error(error) from None


def _read_file(file: Path) -> dict[str, Any]:
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
    return {**{str(key): value for key, value in content.items()}, "engine": content.get("engine") or {}}


def _read_environment() -> dict[str, Any]:
    """`PHISERVE_PORT=9000`, `PHISERVE_ENGINE__MAX_NUM_SEQS=8`; an unknown name is an error like an unknown
    key of the file.
    """
    settings: dict[str, Any] = {}
    engine: dict[str, Any] = {}
    for name, value in os.environ.items():
        if value.startswith("tcp://") or _KUBERNETES.search(name):
            continue
        if name.startswith(ENV_ENGINE_PREFIX):
            engine[name.removeprefix(ENV_ENGINE_PREFIX).lower()] = parse_value(value)
        elif name.startswith(ENV_PREFIX):
            key = name.removeprefix(ENV_PREFIX).lower()
            settings[key] = value if key in _TEXT_SETTINGS else parse_value(value)
    return {**settings, "engine": engine}


def parse_value(text: str) -> Any:
    """A value from the environment or a flag, read as YAML reads it: `8` is a number, `[1, 2]` a list. Raises
    StartupError.
    """
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        raise StartupError(f"The value {text!r} is not valid YAML") from None


def _startup_error(error: ValidationError) -> StartupError:
    detail = error.errors(include_url=False)[0]
    key = ".".join(str(step) for step in detail["loc"])
    reason = "there is no such setting" if detail["type"] == "extra_forbidden" else detail["msg"].lower()
    return StartupError(f"Setting {key}: {reason}")
