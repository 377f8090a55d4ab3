"""All settings of a server."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AnyHttpUrl,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    DirectoryPath,
    Field,
    JsonValue,
    SecretStr,
)

MIB = 2**20


def _names(given: object) -> object:
    """Names in one text are separated by commas; null is none."""
    if given is None:
        return ()
    return [name.strip() for name in given.split(",") if name.strip()] if isinstance(given, str) else given


class Settings(BaseModel):
    """All settings of a server.

    Every field is a key of the YAML file and, in capitals after `PHISERVE_`, an environment variable.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    model: Annotated[
        str | None,
        Field(description="Folder, hub repository, phiserve-demo or phiserve-blank; default: phiserve-demo."),
    ] = None
    served_model_name: Annotated[
        tuple[Annotated[str, Field(min_length=1)], ...],
        BeforeValidator(_names),
        Field(description="Model names that clients send, the main one first; default: the model's own."),
    ] = ()
    quantize: Annotated[
        Literal["off", "int8", "int4", "fp8"],
        BeforeValidator(lambda value: "off" if value is False else value),  # YAML reads `off` as false
        Field(description="Whether the decoder's weights are quantized: off, int8, int4, fp8 (on GPUs)."),
    ] = "off"
    host: Annotated[str, Field(description="Address to listen on.")] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535, description="Port to listen on; 0 takes a free one.")] = 8000
    api_key: Annotated[
        SecretStr | None, Field(min_length=1, description="Key that clients must send; default: no key.")
    ] = None
    keys_file: Annotated[
        Path | None,
        Field(description="YAML file of keys with owners and limits (`phiserve keys`); default: no file."),
    ] = None
    limits_url: Annotated[
        SecretStr | None,
        Field(description="Redis in which several servers count together (redis://…); default: memory."),
    ] = None
    state_url: Annotated[
        SecretStr | None,
        BeforeValidator(lambda value: "off" if value is False else value),  # YAML reads `off` as false
        Field(
            description="Database of stored responses (sqlite:///… or postgresql://…), or off; "
            "default: a file of the user's."
        ),
    ] = None
    state_max_age_days: Annotated[
        int, Field(ge=1, description="Days for which responses and conversations are stored.")
    ] = 30
    state_max_bytes_per_owner: Annotated[
        int, Field(ge=1, description="Maximum size of what an owner has stored; the oldest goes first.")
    ] = 1024 * MIB
    files_url: Annotated[
        str | None,
        BeforeValidator(lambda value: "off" if value is False else value),  # YAML reads `off` as false
        Field(
            description="Where uploaded files are kept (file:///… or s3://bucket/…), or off; "
            "default: beside a state in SQLite."
        ),
    ] = None
    files_max_bytes: Annotated[
        int, Field(ge=1, description="Maximum size of a file that is uploaded at once.")
    ] = 512 * MIB
    files_max_upload_bytes: Annotated[
        int, Field(ge=1, description="Maximum size of a file that is uploaded in parts.")
    ] = 8192 * MIB
    files_max_bytes_per_owner: Annotated[
        int, Field(ge=1, description="Maximum size of all files of an owner; beyond it: 400.")
    ] = 10240 * MIB
    files_max_age_days: Annotated[
        int | None, Field(ge=1, description="Days for which files are kept; default: until they are deleted.")
    ] = None
    batch_max_lines: Annotated[int, Field(ge=1, description="Maximum number of requests of a batch.")] = (
        50_000
    )
    batch_max_bytes: Annotated[
        int, Field(ge=1, description="Maximum size of a batch's file; beyond it: 400.")
    ] = 2048 * MIB
    batch_max_lines_per_owner: Annotated[
        int, Field(ge=1, description="Maximum number of requests of an owner's batches that have not ended.")
    ] = 200_000
    batch_max_bytes_per_owner: Annotated[
        int,
        Field(ge=1, description="Maximum size of an owner's batches that have not ended; beyond it: 400."),
    ] = 8192 * MIB
    cors_origins: Annotated[
        tuple[str, ...],
        Field(
            description="Origins of web pages that browsers may call from, or *; default: no CORS headers."
        ),
    ] = ()
    max_body_bytes: Annotated[int, Field(ge=1024, description="Maximum size of a request body.")] = 132 * MIB
    max_body_bytes_in_flight: Annotated[
        int,
        Field(
            ge=1024,
            description="Maximum size of all bodies being received, beside 64 KiB of each; beyond it: 429.",
        ),
    ] = 1024 * MIB
    max_fetched_bytes_in_flight: Annotated[
        int,
        Field(
            ge=1024,
            description="Maximum size of all images and files that unfinished requests name by URL or id; "
            "beyond it: 429.",
        ),
    ] = 1024 * MIB
    max_connections: Annotated[
        int | None,
        Field(ge=1, description="Maximum number of connections; default: what `ulimit -n` allows."),
    ] = None
    head_timeout_s: Annotated[
        float, Field(gt=0, description="Seconds within which a connection must send a request's head.")
    ] = 10.0
    body_timeout_s: Annotated[
        float,
        Field(
            gt=0, description="Seconds within which a body must come, with one more for each 16 KiB of it."
        ),
    ] = 30.0
    read_timeout_s: Annotated[
        float, Field(gt=0, description="Seconds after which a client that reads no answer is cut off.")
    ] = 60.0
    max_queue_s: Annotated[
        float,
        Field(gt=0, description="Seconds that a request may have to wait for its turn; beyond it: 429."),
    ] = 120.0
    max_crop_bytes_in_flight: Annotated[
        int,
        Field(ge=1024, description="Maximum size of all decoded images that the engine has not seen yet."),
    ] = 1024 * MIB
    max_choices: Annotated[
        int, Field(ge=1, le=128, description="Maximum number of choices (`n`) of a request.")
    ] = 16
    allow_control_token_ids: Annotated[
        bool, Field(description="Whether ids in prompts of completions may be those of control tokens.")
    ] = False
    max_images: Annotated[int, Field(ge=0, description="Maximum number of images in a request.")] = 16
    max_image_bytes: Annotated[int, Field(ge=1, description="Maximum file size of an image.")] = 20 * MIB
    max_image_pixels: Annotated[int, Field(ge=1, description="Maximum number of pixels of an image.")] = (
        64_000_000
    )
    max_pdf_bytes: Annotated[int, Field(ge=1, description="Maximum file size of a PDF.")] = 50 * MIB
    pdf_text: Annotated[
        bool, Field(description="Whether the text that a PDF's page holds is given along with its picture.")
    ] = False
    max_request_image_bytes: Annotated[
        int, Field(ge=1, description="Maximum file size of all images of a request together.")
    ] = 96 * MIB
    max_request_image_pixels: Annotated[
        int, Field(ge=1, description="Maximum number of pixels of all images of a request together.")
    ] = 256_000_000
    max_image_aspect_ratio: Annotated[
        float, Field(ge=1, le=336, description="Maximum aspect ratio of an image (long / short side).")
    ] = 336
    image_hosts: Annotated[
        tuple[str, ...],
        Field(description="Hosts that images are fetched from: names, *.names or *; default: no host."),
    ] = ()
    image_fetch_timeout_s: Annotated[
        float, Field(gt=0, description="Seconds within which an image must be fetched.")
    ] = 10.0
    image_folder: Annotated[
        DirectoryPath | None,
        Field(description="Folder below which file:// URLs are read; default: no folder."),
    ] = None
    extra_image_formats: Annotated[
        tuple[Literal["AVIF", "HEIC"], ...],
        Field(description="Formats besides JPEG, PNG, WEBP, GIF, BMP: AVIF, HEIC (needs pillow-heif)."),
    ] = ()
    max_crops: Annotated[
        int | None,
        Field(ge=1, le=64, description="Maximum number of crops of an image; default: the model's own."),
    ] = None
    encode_slice_ms: Annotated[
        float,
        Field(
            gt=0,
            description="Milliseconds that encoding images may hold up a step of running answers (on CPU).",
        ),
    ] = 30.0
    answer_reserve_tokens: Annotated[
        int,
        Field(ge=1, description="Tokens that `detail: auto` leaves for an answer that may be as long."),
    ] = 64
    default_max_tokens: Annotated[
        int | None,
        Field(
            ge=1,
            description=(
                "Tokens of an answer of unstated length; default: what fits, 1024 for json_object, "
                "4096 for forms without an end."
            ),
        ),
    ] = None
    decision_orders: Annotated[
        Literal[1, 2, 4],
        Field(description="Orders in which a decision's options are shown; probabilities are averaged."),
    ] = 2
    decision_temperatures: Annotated[
        Path | None,
        Field(description="File that calibrates decisions; default: the checkpoint's, where it has one."),
    ] = None
    min_label_mass: Annotated[
        float,
        Field(
            ge=0, le=1, description="A decision whose labels are less likely together is refused; 0: none."
        ),
    ] = 0.0
    image_workers: Annotated[
        int | None,
        Field(ge=1, description="Images decoded at once; default: one per core, fewer if memory is short."),
    ] = None
    image_sandbox: Annotated[
        Literal["auto", "required", "off"],
        BeforeValidator(lambda value: "off" if value is False else value),  # YAML reads `off` as false
        Field(
            description="Processes closed off from network and files that decode images: auto, required, off."
        ),
    ] = "auto"
    max_request_s: Annotated[
        float | None,
        Field(
            gt=0,
            description="Seconds within which a request must be answered, x-request-timeout may say fewer; "
            "default: no limit.",
        ),
    ] = None
    sse_keepalive_s: Annotated[
        float | None,
        Field(gt=0, description="Seconds of silence after which a stream sends a comment; default: never."),
    ] = None
    log_requests: Annotated[
        Literal["off", "console", "json"],
        BeforeValidator(lambda value: "off" if value is False else value),  # YAML reads `off` as false
        Field(description="Lines of the log on standard output, one for each request: json, console or off."),
    ] = "json"
    traces_url: Annotated[
        AnyHttpUrl | None, Field(description="OpenTelemetry collector (OTLP over HTTP); default: no traces.")
    ] = None
    ready_timeout_s: Annotated[
        float, Field(gt=0, description="Seconds within which the engine must answer /ready.")
    ] = 5.0
    engine_hang_s: Annotated[
        float,
        Field(
            gt=0, description="Seconds after which an engine that has work and answers nothing is replaced."
        ),
    ] = 300.0
    max_engine_restarts: Annotated[
        int,
        Field(ge=0, description="Engines started within ten minutes before the server gives up and ends."),
    ] = 5
    shutdown_grace_s: Annotated[
        int, Field(ge=0, description="Seconds that running requests get on SIGTERM.")
    ] = 10
    shutdown_delay_s: Annotated[
        int,
        Field(
            ge=0,
            description="Seconds that the port stays open on SIGTERM if nothing runs, with /ready at 503.",
        ),
    ] = 0
    engine: Annotated[
        dict[str, JsonValue], Field(description="vLLM's engine arguments, by their own names.")
    ] = {}
