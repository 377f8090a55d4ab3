"""Opens a checkpoint: finds its files and refuses what is not Phi-3-vision before anything is loaded."""

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, LocalEntryNotFoundError
from pydantic import JsonValue

from phiserve.chat.special_tokens import ADDED_TOKENS, ORDINARY_TOKENS, STRIPS_RIGHT, VOCAB_SIZE, Control
from phiserve.checkpoint.kinds import CheckpointKind
from phiserve.checkpoint.quantization import Quantization
from phiserve.decisions.temperatures import TEMPERATURES_FILE
from phiserve.errors import StartupError

_LOG = logging.getLogger(__name__)

DEFAULT_MAX_CROPS = 16
CLIP_WIDTH = 1024
CLIP_LAYERS = 24
"""CLIP ViT-L/14-336. Its size is fixed in vLLM; only the number of layers used can be smaller."""
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_NEEDED = (
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "max_position_embeddings",
    "img_processor",
    "embd_layer",
)
_BYTES_PER_VALUE = {"bfloat16": 2, "float16": 2, "half": 2, "float32": 4, "float": 4}


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A verified checkpoint: a local folder, or a hub repository whose small files have been fetched.

    `model` is what vLLM loads, `tokenizer_json` a local file, `config` the content of config.json,
    `max_crops` the maximum number of crops of an image, `temperatures_json` a local file that calibrates
    decisions, if it has one. `requested` is how its weights are to be quantized before they are served.
    """

    model: str
    tokenizer_json: Path
    config: Mapping[str, JsonValue]
    max_crops: int
    temperatures_json: Path | None = None
    requested: Quantization | None = None

    @property
    def kind(self) -> CheckpointKind:
        """Whether it is the real model's, or which of our own."""
        return CheckpointKind.of(self.config)

    @property
    def description(self) -> str:
        """What people should know about the model that is served."""
        weights = "" if self.quantization is None else f", with {self.quantization.scheme} weights"
        return f"{self.kind.description}{weights}"

    @property
    def quantization(self) -> Quantization | None:
        """How the weights that are served are quantized; None where they are not, or by others."""
        return self.requested or Quantization.of(self.config)

    @property
    def hidden_size(self) -> int:
        """Width of the decoder."""
        return _number(self.config, "hidden_size")

    @property
    def intermediate_size(self) -> int:
        """Width of the decoder's feed-forward layers."""
        return _number(self.config, "intermediate_size")

    @property
    def num_layers(self) -> int:
        """Layers of the decoder."""
        return _number(self.config, "num_hidden_layers")

    @property
    def attention(self) -> tuple[int, int, int]:
        """Heads for queries, heads for keys and values, and a head's width."""
        heads = _number(self.config, "num_attention_heads")
        return heads, _number(self.config, "num_key_value_heads", heads), self.hidden_size // heads

    @property
    def clip_layers(self) -> int:
        """How many of CLIP's layers are used."""
        return CLIP_LAYERS + 1 + _number(_object(self.config["img_processor"]), "layer_idx", -2)

    @property
    def short_context(self) -> int:
        """Tokens up to which the short RoPE factors hold, vLLM's default context."""
        return _number(self.config, "original_max_position_embeddings", self.longest_context)

    @property
    def longest_context(self) -> int:
        """Maximum context in tokens, with the long RoPE factors."""
        return _number(self.config, "max_position_embeddings")

    @property
    def dtype(self) -> str:
        """The dtype the weights are stored in."""
        return str(self.config.get("torch_dtype") or self.config.get("dtype") or "bfloat16")

    def kv_bytes_per_token(self, dtype: str) -> int:
        """Bytes of KV cache that a token takes; `dtype` "auto" means the weights' own."""
        _, kv_heads, head_size = self.attention
        return 2 * self.num_layers * kv_heads * head_size * self._value_bytes(dtype)

    def weight_bytes(self, dtype: str) -> int:
        """Bytes that the weights take in memory, computed from the configuration.

        Counts large matrices only: norms and biases hardly matter. `dtype` "auto" means the weights' own; the
        quantized ones take what they take.
        """
        hidden, ffn = self.hidden_size, self.intermediate_size
        decoder = self.num_layers * (4 * hidden * hidden + 3 * hidden * ffn)
        clip = self.clip_layers * 12 * CLIP_WIDTH**2
        others = 2 * VOCAB_SIZE * hidden + 4 * CLIP_WIDTH * hidden + hidden * hidden
        if self.quantization is None:
            return (decoder + clip + others) * self._value_bytes(dtype)
        quantized = decoder + (clip if self.quantization.with_vision else 0)
        whole = decoder + clip + others - quantized
        return round(quantized * self.quantization.bytes_per_weight) + whole * self._value_bytes(dtype)

    def _value_bytes(self, dtype: str) -> int:
        return _BYTES_PER_VALUE.get(self.dtype if dtype == "auto" else dtype, 2)


def open_checkpoint(model: str) -> Checkpoint:
    """Open a folder or a hub repository. Raises StartupError with one sentence about what is wrong."""
    files = _Files(model)
    config = files.read_json("config.json")
    _check_config(config, model)
    _check_tokenizer(files.read_json("tokenizer.json"), model)
    preprocessor = files.read_json("preprocessor_config.json", optional=True)
    return Checkpoint(
        model=files.location,
        tokenizer_json=files.find("tokenizer.json"),
        config=config,
        max_crops=_number(preprocessor, "num_crops", DEFAULT_MAX_CROPS),
        temperatures_json=files.find_optional(TEMPERATURES_FILE),
    )


class _NoSuchFile(StartupError):
    """The checkpoint is there, and has no file of a name."""


class _Files:
    """The files of a checkpoint, wherever it is."""

    def __init__(self, model: str) -> None:
        folder = Path(model).expanduser()
        self._folder = folder if folder.is_dir() else None
        if self._folder is None and not _HUB_ID.fullmatch(model):
            raise StartupError(
                f"There is no folder {model}, and the name is not that of a hub repository (owner/name)"
            )
        self._model = model
        self.location = str(folder.resolve()) if self._folder else model

    def find(self, name: str) -> Path:
        """Local path of a file. Raises StartupError if there is none."""
        if self._folder is not None:
            path = self._folder / name
            if not path.is_file():
                raise _NoSuchFile(f"{self._model} is not a Phi-3-vision checkpoint: it has no {name}")
            return path
        try:
            return Path(hf_hub_download(self._model, name))
        except (HfHubHTTPError, EntryNotFoundError, OSError, ValueError) as error:
            # Without a connection, what is not in the hub's cache may be on the hub.
            known = isinstance(error, EntryNotFoundError) and not isinstance(error, LocalEntryNotFoundError)
            reason = type(error).__name__
            raise (_NoSuchFile if known else StartupError)(
                f"{self._model} is not a folder here, and {name} could not be fetched from the hub ({reason})"
            ) from error

    def find_optional(self, name: str) -> Path | None:
        """Local path of a file, or None if there is none. Where that is not known, a warning says so."""
        try:
            return self.find(name)
        except _NoSuchFile:
            return None
        except StartupError as error:
            _LOG.warning("%s: it is served as if it had none", error)
            return None

    def read_json(self, name: str, *, optional: bool = False) -> dict[str, JsonValue]:
        """A JSON object, or {} for an optional file that is not there. Raises StartupError."""
        path = self.find_optional(name) if optional else self.find(name)
        if path is None:
            return {}
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise StartupError(f"{name} of {self._model} is not valid JSON") from error
        if not isinstance(content, dict):
            raise StartupError(f"{name} of {self._model} does not hold a JSON object")
        return content


def _number(config: Mapping[str, JsonValue], name: str, default: int | None = None) -> int:
    """A number of a configuration; `default` where it is not given or null. Raises StartupError."""
    value = config.get(name)
    value = default if value is None else value
    if not isinstance(value, int | float):
        raise StartupError(f"The checkpoint's configuration says {name}: {value!r}, which is not a number")
    return int(value)


def _object(value: JsonValue) -> Mapping[str, JsonValue]:
    """A JSON object; any other value counts as an empty one."""
    return value if isinstance(value, dict) else {}


def _check_config(config: Mapping[str, JsonValue], model: str) -> None:
    architectures = config.get("architectures")
    is_known = isinstance(architectures, list) and "Phi3VForCausalLM" in architectures
    if config.get("model_type") != "phi3_v" or not is_known:
        kind = config.get("model_type", "unknown")
        raise StartupError(
            f"{model} is not a Phi-3-vision checkpoint: its config.json says model type {kind!r}"
        )
    if missing := [key for key in _NEEDED if key not in config]:
        raise StartupError(f"config.json of {model} lacks {', '.join(missing)}")
    if config.get("vocab_size") != VOCAB_SIZE:
        raise StartupError(
            f"{model} has a vocabulary of {config.get('vocab_size')}, not Phi-3-vision's {VOCAB_SIZE}"
        )


def _check_tokenizer(spec: Mapping[str, JsonValue], model: str) -> None:
    """Raise StartupError unless the tokenizer's control tokens are Phi-3-vision's.

    Prompts are built from their ids. Each must strip the space after it as the model's own does, which
    decides the ids of the text beside it. Ordinary tokens are only counted.
    """
    listed = spec.get("added_tokens")
    added = [_object(token) for token in listed] if isinstance(listed, list) else []
    for control in Control:
        token = next((token for token in added if token.get("id") == control.value), _object(None))
        name, strips = ADDED_TOKENS[control], control.value in STRIPS_RIGHT
        if (token.get("content"), token.get("rstrip")) != (name, strips):
            raise StartupError(
                f"The tokenizer of {model} is not Phi-3-vision's: id {control.value} should be {name!r}"
                f" but is {token.get('content', 'missing')!r}"
            )
    if len(_object(_object(spec.get("model")).get("vocab"))) != ORDINARY_TOKENS:
        raise StartupError(
            f"The tokenizer of {model} is not Phi-3-vision's: it has not {ORDINARY_TOKENS} ordinary tokens"
        )
