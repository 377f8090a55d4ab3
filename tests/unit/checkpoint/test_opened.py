"""What is not Phi-3-vision is refused with one sentence."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, LocalEntryNotFoundError

from phiserve.checkpoint.blank import BlankShape, write_blank
from phiserve.checkpoint.kinds import CheckpointKind
from phiserve.checkpoint.opened import open_checkpoint
from phiserve.checkpoint.quantization import Quantization, Scheme
from phiserve.errors import StartupError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_blank(tmp_path / "x", BlankShape(32, 1, 2, 32))
    return tmp_path / "x"


def edit(file: Path, change: Callable[[Any], object]) -> None:
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def test_reference_files(reference: Path) -> None:
    """The real model's own files are accepted."""
    checkpoint = open_checkpoint(str(reference))
    assert (checkpoint.max_crops, checkpoint.short_context, checkpoint.longest_context) == (16, 4096, 131072)
    assert checkpoint.kv_bytes_per_token("auto") == 393_216
    assert checkpoint.weight_bytes("auto") == pytest.approx(8.3e9, rel=0.01)
    assert checkpoint.weight_bytes("float32") == 2 * checkpoint.weight_bytes("auto")
    assert checkpoint.kind is CheckpointKind.PHI3_VISION


def test_bytes_of_quantized_weights(reference: Path) -> None:
    """Those of the real model: int8 takes less than 0.6 of bfloat16's, int4 less than 0.4."""
    checkpoint = open_checkpoint(str(reference))
    assert checkpoint.quantization is None
    whole, float32 = (checkpoint.weight_bytes(dtype) for dtype in ("auto", "float32"))
    sizes = {scheme: replace(checkpoint, requested=Quantization(scheme)) for scheme in Scheme}
    assert (checkpoint.description, sizes[Scheme.INT8].description) == (
        "Phi-3-vision",
        "Phi-3-vision, with int8 weights",
    )
    assert sizes[Scheme.INT8].weight_bytes("auto") / whole == pytest.approx(0.5615, abs=0.0001)
    assert sizes[Scheme.INT4].weight_bytes("auto") / whole == pytest.approx(0.349, abs=0.001)
    assert sizes[Scheme.FP8].weight_bytes("auto") == sizes[Scheme.INT8].weight_bytes("auto")
    decoder = 32 * (4 * 3072**2 + 3 * 3072 * 8192)
    assert sizes[Scheme.INT8].weight_bytes("float32") == float32 - 3 * decoder
    with_vision = replace(checkpoint, requested=Quantization(Scheme.INT8, with_vision=True))
    assert sizes[Scheme.INT8].weight_bytes("auto") - with_vision.weight_bytes("auto") == 23 * 12 * 1024**2


@pytest.mark.parametrize("model", ["/no/such/folder", "./nowhere", "name", "a/b/c"])
def test_no_such_model(model: str) -> None:
    """Neither a folder nor the name of a hub repository."""
    with pytest.raises(StartupError, match="no folder"):
        open_checkpoint(model)


def test_hub_repository_out_of_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    """A repository that cannot be fetched is an error of one sentence, not a traceback."""

    def fail(*arguments: object) -> None:
        raise OSError("offline")

    monkeypatch.setattr("phiserve.checkpoint.opened.hf_hub_download", fail)
    with pytest.raises(StartupError, match="could not be fetched"):
        open_checkpoint("owner/name")


def test_hub_repository(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the small files are fetched here; vLLM loads the weights by the repository's name."""
    fetched: list[str] = []

    def download(repository: str, name: str) -> str:
        fetched.append(name)
        return str(folder / name)

    monkeypatch.setattr("phiserve.checkpoint.opened.hf_hub_download", download)
    checkpoint = open_checkpoint("owner/name")
    assert checkpoint.model == "owner/name"
    asked = ["config.json", "decision_temperatures.json", "preprocessor_config.json", "tokenizer.json"]
    assert sorted(set(fetched)) == asked
    assert checkpoint.temperatures_json == folder / "decision_temperatures.json"


UNAVAILABLE: Any = httpx.Response(503, request=httpx.Request("GET", "https://hub.example/a"))


@pytest.mark.parametrize(
    ("error", "is_told"),
    [
        (EntryNotFoundError("404"), False),
        (LocalEntryNotFoundError("offline"), True),
        (HfHubHTTPError("503", response=UNAVAILABLE), True),
        (PermissionError("cache"), True),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_file_that_cannot_be_looked_for(
    error: Exception,
    is_told: bool,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Is not taken for one that is not there without a word: answers would silently not be calibrated."""

    def download(repository: str, name: str) -> str:
        if name == "decision_temperatures.json":
            raise error
        return str(folder / name)

    monkeypatch.setattr("phiserve.checkpoint.opened.hf_hub_download", download)
    assert open_checkpoint("owner/name").temperatures_json is None
    told = [record.getMessage() for record in caplog.records]
    assert [("decision_temperatures.json" in one, type(error).__name__ in one) for one in told] == (
        [(True, True)] if is_told else []
    )


def test_temperatures(folder: Path) -> None:
    """Are there or not."""
    assert open_checkpoint(str(folder)).temperatures_json is None
    (folder / "decision_temperatures.json").write_text("{}")
    assert open_checkpoint(str(folder)).temperatures_json == folder / "decision_temperatures.json"


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
def test_missing_files(folder: Path, name: str) -> None:
    """The missing file is named."""
    (folder / name).unlink()
    with pytest.raises(StartupError, match=name.replace(".", r"\.")):
        open_checkpoint(str(folder))


def test_other_models(folder: Path) -> None:
    """Another architecture, another vocabulary, broken JSON."""
    edit(folder / "config.json", lambda config: config.update(vocab_size=32000))
    with pytest.raises(StartupError, match="vocabulary"):
        open_checkpoint(str(folder))
    edit(folder / "config.json", lambda config: config.update(model_type="llama"))
    with pytest.raises(StartupError, match="'llama'"):
        open_checkpoint(str(folder))
    edit(
        folder / "config.json",
        lambda config: (config.update(model_type="phi3_v", vocab_size=32064), config.pop("hidden_size")),
    )
    with pytest.raises(StartupError, match="lacks hidden_size"):
        open_checkpoint(str(folder))
    edit(folder / "config.json", lambda config: config.update(hidden_size="wide"))
    with pytest.raises(StartupError, match="hidden_size: 'wide', which is not a number"):
        open_checkpoint(str(folder)).weight_bytes("auto")
    (folder / "config.json").write_text("{")
    with pytest.raises(StartupError, match="not valid JSON"):
        open_checkpoint(str(folder))


@pytest.mark.parametrize(
    "change",
    [
        lambda token: token.update(content="<|fin|>"),
        lambda token: token.update(id=32050),
        lambda token: token.update(rstrip=True),
    ],
)
def test_other_tokenizers(folder: Path, change: Callable[[Any], object]) -> None:
    """A control token under another name, at another id, or with another stripping."""
    edit(
        folder / "tokenizer.json",
        lambda spec: change(next(t for t in spec["added_tokens"] if t["id"] == 32007)),
    )
    with pytest.raises(StartupError, match="32007"):
        open_checkpoint(str(folder))


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"added_tokens": null}', '{"added_tokens": [5, {"id": []}]}', "\xff"]
)
def test_broken_tokenizers(folder: Path, content: str) -> None:
    """Not JSON, not an object, tokens that are none, not UTF-8."""
    (folder / "tokenizer.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(StartupError):
        open_checkpoint(str(folder))


def test_missing_tokens(folder: Path) -> None:
    """A vocabulary of another size."""
    edit(folder / "tokenizer.json", lambda spec: spec["model"]["vocab"].popitem())
    with pytest.raises(StartupError, match="32000 ordinary tokens"):
        open_checkpoint(str(folder))


def test_default_max_crops(folder: Path) -> None:
    """Without a preprocessor's configuration max_crops is the model's published number."""
    (folder / "preprocessor_config.json").unlink()
    assert open_checkpoint(str(folder)).max_crops == 16
