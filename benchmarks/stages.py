"""What an image costs phiserve before it reaches the engine, stage by stage and as a whole: no engine, no
network.

usage: python -m benchmarks.stages [--cores one|all] [--pictures N] [--repeat N] [--kinds KIND …]
       [--model FOLDER]

Prints a table of medians in milliseconds and ends in one JSON line. Absolute times are this machine's;
compare runs side by side.
"""

import base64
import json
from collections.abc import Callable
from typing import Any

import uvloop

from benchmarks.images import draw
from benchmarks.render import Options, measure_rendering, median_ms, merge_stages, read_options


def stages(kind: str, model: str) -> dict[str, Callable[[], Any]]:
    """Each stage on the output of the one before. Text is encoded where a checkpoint's tokenizer is given."""
    import torch
    from blake3 import blake3

    from benchmarks.workloads import images
    from phiserve import codecs
    from phiserve.media.data_url import decode_data_url
    from phiserve.plugin.processor import image_item
    from phiserve.protocol.chat import ChatCompletionRequest
    from phiserve.protocol.parsing import parse_request
    from phiserve.vision.crops import cut_crops
    from phiserve.vision.sizes import plan_crops

    content = draw(kind, 0)
    url = "data:image/jpeg;base64," + base64.b64encode(content).decode()
    body = images(kind).body(0)
    parsed = codecs.parse(content)
    plan = plan_crops(*parsed.size, 16)
    pixels = parsed.decode()
    crops = torch.from_numpy(cut_crops(pixels, plan))
    found = {
        "parse": lambda: parse_request(body, ChatCompletionRequest),
        "base64": lambda: decode_data_url(url, max_bytes=2**30),
        "hash": lambda: blake3(content).hexdigest(),
        "header": lambda: codecs.parse(content),
        "decode": parsed.decode,
        "resize and tile": lambda: cut_crops(pixels, plan),
        "item": lambda: image_item(crops, plan.padded, "key"),
    }
    return found | ({"encode text": _encoding(body, model, plan.num_tokens)} if model else {})


def _encoding(body: bytes, model: str, image_tokens: int) -> Callable[[], Any]:
    """A request's text -> ids around one image's."""
    from phiserve.chat.encoder import PromptEncoder
    from phiserve.checkpoint.opened import open_checkpoint
    from phiserve.protocol.chat import ChatCompletionRequest
    from phiserve.protocol.parsing import parse_request
    from phiserve.protocol.translation import build_conversation

    encoder = PromptEncoder.load(open_checkpoint(model).tokenizer_json)
    messages = parse_request(body, ChatCompletionRequest).messages
    return lambda: encoder.encode(build_conversation(messages)).ids([image_tokens])


def stage_times(options: Options) -> dict[str, dict[str, float]]:
    """Kind -> stage -> median milliseconds."""
    return {
        kind: {stage: median_ms(work, options.repeat) for stage, work in stages(kind, options.model).items()}
        for kind in options.kinds
    }


async def whole_way(options: Options) -> dict[str, dict[str, float]]:
    """Body -> engine input through the server's own pipeline, with vLLM's own caches and no engine behind
    them.
    """
    from benchmarks.our_renderer import OurRenderer

    async with OurRenderer.open(options.model, one_core=options.one_core) as renderer:
        return await measure_rendering(renderer.render, options)


def main() -> None:
    """Measure and print."""
    options = read_options(__doc__ or "")
    times = stage_times(options)
    print(f"{'ms':>16}" + "".join(f"{kind:>10}" for kind in times))
    for stage in next(iter(times.values())):
        print(f"{stage:>16}" + "".join(f"{times[kind][stage]:10.2f}" for kind in times))
    found: dict[str, dict[str, float]] = {kind: {} for kind in times}
    if options.model:
        found = uvloop.run(whole_way(options))
    print(json.dumps(merge_stages(found, times)))


if __name__ == "__main__":
    main()
