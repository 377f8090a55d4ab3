"""Opening a checkpoint: find its files, refuse what is not Phi-3-vision before anything is loaded."""

import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from huggingface_hub import hf_hub_download
from huggingface_hub.errors import HfHubHTTPError

from phiserve.chat.special_tokens import ADDED_TOKENS, ORDINARY_TOKENS, STRIPS_RIGHT, VOCAB_SIZE, Control
from phiserve.errors import StartupError

BLANK_MARK = "phiserve_blank"
"""Key in config.json of checkpoints whose weights are random."""

DEMO_MARK = "phiserve_demo"
"""Key in config.json of the trained demo model."""

DEFAULT_MAX_CROPS = 16
CLIP_WIDTH = 1024
CLIP_LAYERS = 24
"""CLIP ViT-L/14-336. Its size is fixed in vLLM; only the number of layers used can be smaller."""
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_NEEDED = (
    *(
        "hidden_size",
        "intermediate_size",
        "num_hidden_layers",
        "num_attention_heads",
        "max_position_embeddings",
    ),
    *("img_processor", "embd_layer"),
)
_BYTES_PER_VALUE = {"bfloat16": 2, "float16": 2, "half": 2, "float32": 4, "float": 4}


@dataclass(frozen=True)
class Checkpoint:
    """A verified checkpoint: a local folder, or a hub repository whose small files have been fetched.

    `model` is what vLLM loads, `tokenizer_json` a local file, `max_crops` the largest number of crops of an
    image.
    """

    model: str
    tokenizer_json: Path
    config: dict[str, Any]
    max_crops: int

    @property
    def is_blank(self) -> bool:
        """Whether the weights are random."""
        return bool(self.config.get(BLANK_MARK))

    @property
    def is_demo(self) -> bool:
        """Whether it is the tiny model trained on drawn images."""
        return bool(self.config.get(DEMO_MARK))

    @property
    def hidden_size(self) -> int:
        """Width of the decoder."""
        return int(self.config["hidden_size"])

    @property
    def short_context(self) -> int:
        """Tokens up to which the short RoPE factors hold, vLLM's default context."""
        return int(
            self.config.get("original_max_position_embeddings", self.config["max_position_embeddings"])
        )

    @property
    def longest_context(self) -> int:
        """Tokens the model can hold at most, with the long RoPE factors."""
        return int(self.config["max_position_embeddings"])

    @cached_property
    def dtype(self) -> str:
        """The dtype the weights are stored in."""
        return str(self.config.get("torch_dtype") or self.config.get("dtype") or "bfloat16")

    def kv_bytes_per_token(self, dtype: str) -> int:
        """Bytes of KV cache a token takes; `dtype` "auto" means the weights' own."""
        heads = int(self.config["num_attention_heads"])
        kv_heads = int(self.config.get("num_key_value_heads") or heads)
        head_size = self.hidden_size // heads
        return 2 * int(self.config["num_hidden_layers"]) * kv_heads * head_size * self._value_bytes(dtype)

    def weight_bytes(self, dtype: str) -> int:
        """Bytes the weights take in memory, told from the configuration: large matrices only, norms and
        biases are noise.
        """
        hidden, ffn = self.hidden_size, int(self.config["intermediate_size"])
        layer = 4 * hidden * hidden + 3 * hidden * ffn
        clip_layers = CLIP_LAYERS + 1 + int(self.config["img_processor"].get("layer_idx", -2))
        clip = clip_layers * 12 * CLIP_WIDTH**2
        projection = 4 * CLIP_WIDTH * hidden + hidden * hidden
        values = 2 * VOCAB_SIZE * hidden + int(self.config["num_hidden_layers"]) * layer + clip + projection
        return values * self._value_bytes(dtype)

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
        max_crops=int(preprocessor.get("num_crops", DEFAULT_MAX_CROPS)),
    )


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
                raise StartupError(f"{self._model} is not a Phi-3-vision checkpoint: it has no {name}")
            return path
        try:
            return Path(hf_hub_download(self._model, name))
        except (HfHubHTTPError, OSError, ValueError) as error:
            reason = type(error).__name__
            raise StartupError(
                f"{self._model} is not a folder here, and {name} could not be fetched from the hub ({reason})"
            ) from error

    def read_json(self, name: str, *, optional: bool = False) -> dict[str, Any]:
        """A JSON object, or {} for an optional file that is not there. Raises StartupError."""
        try:
            path = self.find(name)
        except StartupError:
            if optional:
                return {}
            raise
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise StartupError(f"{name} of {self._model} is not valid JSON") from error
        if not isinstance(content, dict):
            raise StartupError(f"{name} of {self._model} does not hold a JSON object")
        return content


def _check_config(config: dict[str, Any], model: str) -> None:
    architectures = config.get("architectures") or []
    if config.get("model_type") != "phi3_v" or "Phi3VForCausalLM" not in architectures:
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


def _check_tokenizer(spec: dict[str, Any], model: str) -> None:
    """The control tokens must be where prompts are built to have them, with the stripping that decides
    neighbours' ids.
    """
    added = {token["id"]: token for token in spec.get("added_tokens") or ()}
    for control in Control:
        token = added.get(control.value, {})
        expected = (ADDED_TOKENS[control], control.value in STRIPS_RIGHT)
        if (token.get("content"), token.get("rstrip")) != expected:
            raise StartupError(
                f"The tokenizer of {model} is not Phi-3-vision's: id {control.value} should be {expected[0]!r}"
                f" but is {token.get('content', 'missing')!r}"
            )
    if len(spec.get("model", {}).get("vocab", ())) != ORDINARY_TOKENS:
        raise StartupError(f"The tokenizer of {model} is not Phi-3-vision's: it has not {ORDINARY_TOKENS} ordinary tokens")
