"""Checkpoints to serve: blank ones of known shapes, and the same weights beside the model repository's code
for others.
"""

import importlib.util
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.command import run_python
from benchmarks.settings import GIB

CODE = ("configuration_phi3_v.py", "processing_phi3_v.py", "image_processing_phi3_v.py")
"""What plain vLLM needs of the model repository."""

MODEL_CODE = (*CODE, "modeling_phi3_v.py", "image_embedding_phi3_v.py")
"""What transformers needs besides."""

HUB_REPOSITORY = "microsoft/Phi-3-vision-128k-instruct"
STAND_IN = Path(__file__).with_name("torchvision_stand_in.py")
FULL_BYTES = int(8.3 * GIB)
_TEMPLATE = (
    "{% for message in messages %}"
    "{{'<|' + message['role'] + '|>' + '\\n' + message['content'] + '<|end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt and messages[-1]['role'] != 'assistant' %}"
    "{{- '<|assistant|>\\n' -}}"
    "{% endif %}"
)
"""The model repository's chat template (tokenizer_config.json), which plain vLLM renders with."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Flags of `phiserve checkpoint blank`, and what arithmetic needs: layers of CLIP that are used, and so
    on.
    """

    flags: tuple[str, ...]
    clip_layers: int
    hidden_size: int = 192
    num_layers: int = 2
    intermediate_size: int = 512


SHAPES: Mapping[str, Shape] = {
    "small": Shape(("--clip-layers", "1"), 1),
    "clip23": Shape(("--clip-layers", "23"), 23),
    "full": Shape(("--full",), 23, 3072, 32, 8192),
}
"""`small` leaves almost nothing to the engine; `clip23` sees images as the real model does; `full` is the
real model's size."""


def blank(work: Path, name: str) -> Path:
    """The folder of a blank checkpoint below `work`, written if it is not there. Raises
    CalledProcessError.
    """
    folder = work / "checkpoints" / name
    if not folder.exists():
        run_python("-m", "phiserve", "checkpoint", "blank", str(folder), *SHAPES[name].flags)
    return folder


def beside_code(work: Path, checkpoint: Path, code: Path, *, stand_in: bool) -> Path:
    """The same weights and tokenizer in a folder with the code of `code`, as the model repository lays them
    out. Written anew.

    With `stand_in` our stand-in is written into the code where it imports torchvision.
    """
    folder = work / "checkpoints" / f"{checkpoint.name}-with-code"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for file in checkpoint.iterdir():
        (folder / file.name).symlink_to(file)
    for name in MODEL_CODE:
        if (code / name).exists():
            shutil.copy(code / name, folder / name)
    if stand_in:
        file = folder / "image_processing_phi3_v.py"
        source, stand_in_source = file.read_text(encoding="utf-8"), STAND_IN.read_text(encoding="utf-8")
        file.write_text(source.replace("\nimport torchvision\n", f"\n{stand_in_source}\n"), encoding="utf-8")
    _add(folder / "config.json", auto_map=_AUTO_MODEL)
    _add(
        folder / "preprocessor_config.json",
        auto_map=_AUTO_PROCESSOR,
        processor_class="Phi3VProcessor",
        image_processor_type="Phi3VImageProcessor",
        num_img_tokens=144,
    )
    _add(folder / "tokenizer_config.json", chat_template=_TEMPLATE)
    return folder


def reference_code(where: str) -> Path:
    """The folder with the model repository's code: a local one, or `hub` to fetch it. Raises OSError, naming
    what is missing.
    """
    if where == "hub":
        from huggingface_hub import snapshot_download

        return Path(snapshot_download(HUB_REPOSITORY, allow_patterns=["*.py"]))
    missing = [name for name in CODE if not (Path(where) / name).exists()]
    if missing:
        raise FileNotFoundError(f"{where} lacks {', '.join(missing)}")
    return Path(where)


def torchvision_is_missing() -> bool:
    """Whether the stand-in must take its place: it is not installed, or does not import beside this torch."""
    return importlib.util.find_spec("torchvision") is None or not run_python(
        "-c", "import torchvision", check=False
    )


_AUTO_MODEL = {
    "AutoConfig": "configuration_phi3_v.Phi3VConfig",
    "AutoModelForCausalLM": "modeling_phi3_v.Phi3VForCausalLM",
}
_AUTO_PROCESSOR = {
    "AutoProcessor": "processing_phi3_v.Phi3VProcessor",
    "AutoImageProcessor": "image_processing_phi3_v.Phi3VImageProcessor",
}


def _add(file: Path, **keys: Any) -> None:
    """Put a file with more keys in the place of a link to the one without."""
    content = json.loads(file.read_text(encoding="utf-8")) | keys
    file.unlink()
    file.write_text(json.dumps(content, indent=1), encoding="utf-8")
