"""The same weights beside the model repository's code, as other servers want to find them."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.checkpoints import CODE, SHAPES, beside_code, reference_code
from benchmarks.torchvision_stand_in import torchvision
from images import noise
from phiserve.checkpoint.blank import FULL, BlankShape
from phiserve.vision.crops import cut_crops
from phiserve.vision.normalisation import IMAGE_MEAN, IMAGE_STD
from phiserve.vision.sizes import plan_crops


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """A folder with files of the right names."""
    folder = tmp_path / "code"
    folder.mkdir()
    for name in CODE:
        (folder / name).write_text(f"# {name}")
    return folder


def test_beside_code(tmp_path: Path, code: Path) -> None:
    """Weights are linked, the code is copied, configurations say where it is; written anew each time."""
    checkpoint = tmp_path / "small"
    checkpoint.mkdir()
    for name in ("config.json", "preprocessor_config.json", "tokenizer_config.json"):
        (checkpoint / name).write_text('{"kept": 1}')
    (checkpoint / "model.safetensors").write_bytes(b"weights")
    for _ in range(2):
        folder = beside_code(tmp_path, checkpoint, code, stand_in=False)
    assert (folder / "model.safetensors").resolve() == checkpoint / "model.safetensors"
    assert (folder / CODE[0]).read_text() == f"# {CODE[0]}"
    assert (
        json.loads((folder / "config.json").read_text())["auto_map"]["AutoConfig"]
        == "configuration_phi3_v.Phi3VConfig"
    )
    assert json.loads((folder / "preprocessor_config.json").read_text())["kept"] == 1
    assert "chat_template" in json.loads((folder / "tokenizer_config.json").read_text())
    assert (checkpoint / "config.json").read_text() == '{"kept": 1}'


def test_code_that_is_missing_is_named(code: Path) -> None:
    assert reference_code(str(code)) == code
    (code / CODE[1]).unlink()
    with pytest.raises(FileNotFoundError, match=CODE[1]):
        reference_code(str(code))


def test_shapes_are_those_of_blank_checkpoints() -> None:
    """The numbers that arithmetic uses."""
    for name, shape in (("small", BlankShape()), ("clip23", BlankShape(clip_layers=23)), ("full", FULL)):
        told = SHAPES[name]
        assert (told.hidden_size, told.num_layers, told.intermediate_size, told.clip_layers) == (
            *(shape.hidden_size, shape.num_layers, shape.intermediate_size),
            shape.clip_layers,
        )


def test_the_stand_in_is_written_into_the_code(tmp_path: Path, code: Path) -> None:
    """In place of torchvision's import, and nothing else is changed."""
    checkpoint = tmp_path / "small"
    checkpoint.mkdir()
    for name in ("config.json", "preprocessor_config.json", "tokenizer_config.json"):
        (checkpoint / name).write_text("{}")
    (code / "image_processing_phi3_v.py").write_text(
        "import math\nimport torchvision\nx = torchvision.transforms\n"
    )
    folder = beside_code(tmp_path, checkpoint, code, stand_in=True)
    written = (folder / "image_processing_phi3_v.py").read_text()
    names: dict[str, object] = {}
    exec(written, names)  # noqa: S102 (our own stand-in)
    assert names["x"] is not None
    assert written.startswith("import math\n")
    assert "import torchvision" not in written


@pytest.mark.parametrize("size", [(640, 480), (700, 333), (337, 336)])
def test_the_stand_in_does_what_the_reference_did(size: tuple[int, int]) -> None:
    """Resized, padded and normalised as the golden vectors' processor does, which our own crops follow bit
    for bit.
    """
    image = noise(*size, seed=1)
    plan = plan_crops(*size, 16)
    resized = torchvision.transforms.functional.resize(image, plan.resized[::-1])
    spare = plan.padded[1] - plan.resized[1]
    padded = torchvision.transforms.functional.pad(
        resized, [0, spare // 2, 0, spare - spare // 2], fill=[255, 255, 255]
    )
    transforms = torchvision.transforms
    normalised = transforms.Compose([transforms.ToTensor(), transforms.Normalize(IMAGE_MEAN, IMAGE_STD)])(
        padded
    )
    ours = (
        cut_crops(np.array(image), plan)
        .reshape(plan.rows, plan.columns, 336, 336, 3)
        .transpose(0, 2, 1, 3, 4)
    )
    assert np.array_equal(np.asarray(padded), ours.reshape(*plan.padded[::-1], 3))
    pixel = torch.tensor(np.asarray(padded)[5, 7] / 255, dtype=torch.float32)
    assert torch.allclose(
        normalised[:, 5, 7], (pixel - torch.tensor(IMAGE_MEAN)) / torch.tensor(IMAGE_STD), atol=1e-6
    )
