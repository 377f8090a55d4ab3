"""The checks of `phiserve doctor`: what each finds, and what to do about it.

Nothing is loaded or served.
"""

import asyncio
import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import entry_points
from typing import Literal

import numpy as np

from phiserve import __version__
from phiserve.chat.encoder import PromptEncoder
from phiserve.chat.vocabulary import Vocabulary
from phiserve.checkpoint.embedded import locate
from phiserve.checkpoint.opened import Checkpoint, open_checkpoint
from phiserve.cli.client import DEFAULT_URL, NothingListens, client_for, served_models
from phiserve.config import Settings
from phiserve.config_sources import load_settings
from phiserve.core import ImagePlaceholder
from phiserve.errors import StartupError
from phiserve.vision.images import ImageService
from phiserve.vision.limits import ImageLimits
from phiserve.vision.sizes import plan_crops

GIB = 2**30
PYTHONS = ((3, 11), (3, 13))
Verdict = Literal["fine", "note", "wrong"]


@dataclass(frozen=True)
class Finding:
    """What a check found.

    `remedy` says what to do; it is empty where all is fine, or where `text` says it.
    """

    verdict: Verdict
    text: str
    remedy: str = ""


@dataclass
class CheckContext:
    """What checks find out for later ones.

    `model` is the one given on the command line, if any.
    """

    model: str | None
    settings: Settings | None = None
    checkpoint: Checkpoint | None = None


def python(context: CheckContext) -> Finding:
    """Whether vLLM runs on this Python."""
    text = f"Python {platform.python_version()}, phiserve {__version__}"
    if PYTHONS[0] <= sys.version_info[:2] <= PYTHONS[1]:
        return Finding("fine", text)
    return Finding("wrong", text, "vLLM needs Python 3.11 to 3.13: set PYTHON=… for make, and remove .venv")


def settings(context: CheckContext) -> Finding:
    """Whether the environment's PHISERVE_… variables are valid settings."""
    from phiserve.assembly import check_settings

    context.settings = load_settings(None, {"model": context.model} if context.model else None)
    check_settings(context.settings)
    return Finding("fine", "the environment's settings are valid")


def plugin(context: CheckContext) -> Finding:
    """Whether vLLM's processes will find the plugin.

    They look for an entry point of the installed package, unless the user's VLLM_PLUGINS forbids it.
    """
    from phiserve.engine.environment import prepare_environment

    prepare_environment()
    if not entry_points(group="vllm.general_plugins", name="phiserve"):
        return Finding(
            "wrong", "vLLM cannot find phiserve's plugin", "install the package: pip install --no-deps -e ."
        )
    return Finding("fine", "vLLM finds phiserve's plugin")


def engine(context: CheckContext) -> Finding:
    """Versions of vLLM, torch and transformers."""
    from phiserve.engine.start import versions

    return Finding("fine", ", ".join(f"{name} {number}" for name, number in versions().items()))


def device(context: CheckContext) -> Finding:
    """The device that the model would run on, and the memory that is free."""
    from phiserve.engine.host import detect_host

    host = detect_host()
    text = f"{host.device}, {host.cores} cores, {host.ram_bytes / GIB:.1f} GiB of memory free"
    if host.device == "cpu":
        return Finding(
            "note", text, "the real model is slow on a CPU; a GPU needs NVIDIA's driver and the [gpu] extra"
        )
    return Finding("fine", f"{text}, {host.device_bytes / GIB:.0f} GiB on the device")


def tokenizer(context: CheckContext) -> Finding:
    """Whether the checkpoint has Phi-3-vision's format and a tokenizer like the reference's.

    The tokenizer is tried on a line break alone.
    """
    model = (context.settings.model if context.settings else None) or context.model
    context.checkpoint = open_checkpoint(locate(model, lambda line: None))
    ids = PromptEncoder.load(context.checkpoint.tokenizer_json).encode_text("\n")
    vocabulary = Vocabulary.load(context.checkpoint.tokenizer_json)
    if [vocabulary.bytes_of(token_id) for token_id in ids] != [b" ", b"\n"]:
        return Finding(
            "wrong",
            "the tokenizer encodes a line break differently from the reference",
            "fetch the checkpoint's tokenizer.json again",
        )
    whose = "Phi-3-vision" if context.checkpoint.kind.is_real else "phiserve's own"
    return Finding("fine", f"a checkpoint of {whose}, a line break is {ids}")


def memory(context: CheckContext) -> Finding:
    """Whether the weights, quantized if so set, and a KV cache fit into the memory."""
    from phiserve.assembly import engine_plan
    from phiserve.engine.host import detect_host
    from phiserve.served import planned_checkpoint

    if context.checkpoint is None or context.settings is None:
        return Finding("note", "not checked: there is no checkpoint", "see above")
    checkpoint = planned_checkpoint(context.settings, lambda line: None)
    plan = engine_plan(context.settings, checkpoint, detect_host())
    kv = plan.args.get("kv_cache_memory_bytes")
    cache = f", {kv / GIB:.1f} GiB of KV cache" if kv else ""
    return Finding("fine", f"{checkpoint.weight_bytes('auto') / GIB:.1f} GiB of weights fit{cache}")


GOLDEN_TOKENS = 1921
GOLDEN_CROPS = "10715252fc5752f5e76652f9a15f76a043f75071535a71245ce88100755ff810"
"""SHA-256 of the crops of `_golden_image`, from the HD transform that tests hold against the reference's."""


def image(context: CheckContext) -> Finding:
    """Whether one image's tokens and pixels are those of the reference processor."""
    service = ImageService(ImageLimits(), workers=1)
    try:
        tokens, digest = asyncio.run(_measure(service))
    finally:
        service.close()
    if (tokens, digest) != (GOLDEN_TOKENS, GOLDEN_CROPS):
        text = f"an image of 640 x 480 takes {tokens} tokens, and its pixels differ from the reference's"
        return Finding("wrong", text, "install Pillow and NumPy as requirements/cpu.lock has them")
    return Finding("fine", f"an image of 640 x 480 takes {tokens} tokens, pixels as the reference's")


async def _measure(service: ImageService) -> tuple[int, str]:
    (read,) = await service.read([ImagePlaceholder(_golden_image(), "high", "image")])
    plan = plan_crops(*read.size, 16)
    return plan.num_tokens, sha256((await service.crops(read, plan)).tobytes()).hexdigest()


def _golden_image() -> str:
    """A BMP of 640 x 480 as a data URL.

    A formula gives its pixels, so that no codec can change them.
    """
    import base64

    y, x = np.mgrid[0:480, 0:640]
    pixels = np.stack([x * y // 7, x * 3 + y, x ^ y], axis=-1).astype(np.uint8)
    header = b"BM" + (54 + pixels.size).to_bytes(4, "little") + bytes(4) + (54).to_bytes(4, "little")
    info = (40).to_bytes(4, "little") + (640).to_bytes(4, "little") + (480).to_bytes(4, "little")
    info += (1).to_bytes(2, "little") + (24).to_bytes(2, "little") + bytes(24)
    return "data:image/bmp;base64," + base64.b64encode(header + info + pixels.tobytes()).decode()


def running(context: CheckContext) -> Finding:
    """Whether a server answers where `ask` and `chat` look first."""
    try:
        models = served_models(client_for(DEFAULT_URL))
    except NothingListens:
        return Finding(
            "note", f"no server at {DEFAULT_URL}", "phiserve serve starts one; ask and chat start their own"
        )
    except StartupError as error:
        return Finding(
            "note", str(error), "ask and chat need --url or --model; phiserve serve needs another --port"
        )
    return Finding("fine", f"a server at {DEFAULT_URL} serves {', '.join(models)}")


Check = Callable[[CheckContext], Finding]

CHECKS: tuple[Check, ...] = (
    python,
    settings,
    plugin,
    engine,
    device,
    tokenizer,
    memory,
    image,
    running,
)
"""The checks in their order, since later ones need what earlier ones found."""


def examine(check: Check, context: CheckContext) -> Finding:
    """Run one check; whatever it raises is a finding too."""
    try:
        return check(context)
    except StartupError as error:
        return Finding("wrong", str(error))
    except ImportError as error:
        return Finding("wrong", f"cannot import: {error}", "make clean serve sets the environment up anew")
    except Exception as error:
        return Finding(
            "wrong",
            f"unexpected {type(error).__name__}: {error}",
            "make clean serve sets the environment up anew",
        )
