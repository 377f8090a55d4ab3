"""What an image costs plain vLLM before it reaches the engine: its own request class, renderer and processor,
no engine.

usage: VLLM_PLUGINS="" python -m benchmarks.plain_stages --model FOLDER [--cores one|all] [--pictures N]
[--repeat N] [--kinds …]

FOLDER holds a checkpoint and the model repository's code. Ends in one JSON line, as `benchmarks.stages` does.
"""

import json
import time
from collections import defaultdict
from typing import Any

import uvloop

from benchmarks.figures import percentile
from benchmarks.render import Options, measure_rendering, merge_stages, read_options
from benchmarks.settings import EngineSettings

_STAGES = {
    "get_mm_hashes_secs": "hash",
    "apply_hf_processor_secs": "crops",
    "apply_prompt_updates_secs": "placeholders",
}
"""vLLM's own timings and what they are here: its processor resizes, tiles, normalises and converts in one."""


class PlainRenderer:
    """vLLM's online renderer as its servers build it (`entrypoints/launchers/render/app_state.py`)."""

    def __init__(self, model: str, *, timed: bool) -> None:
        from vllm.engine.arg_utils import AsyncEngineArgs
        from vllm.renderers.online_renderer import OnlineRenderer
        from vllm.renderers.registry import renderer_from_config

        settings = EngineSettings()
        args = AsyncEngineArgs(
            model=model,
            trust_remote_code=True,
            max_model_len=settings.max_model_len,
            max_num_batched_tokens=settings.max_num_batched_tokens,
            kv_cache_memory_bytes=settings.kv_cache_memory_bytes,
            mm_processor_cache_gb=settings.mm_processor_cache_gb,
            limit_mm_per_prompt={"image": settings.max_images},
            dtype=settings.dtype,
            generation_config="vllm",
            enforce_eager=True,
            enable_mm_processor_stats=timed,
        )
        config = args.create_engine_config()
        self.renderer = renderer_from_config(config)
        self._online = OnlineRenderer(
            model_config=config.model_config,
            renderer=self.renderer,
            request_logger=None,
            chat_template=None,
            chat_template_content_format="auto",
        )

    async def render(self, body: bytes) -> int:
        """Body -> engine input; the bytes of pixels in it, 0 where the engine holds the image."""
        request = self.parse(body)
        rendered = await self._online.render_chat(request)
        if not isinstance(rendered, tuple):
            raise TypeError(f"vLLM refused the request: {rendered}")
        return _num_bytes(rendered[1][0])

    def parse(self, body: bytes) -> Any:
        """Body -> request, as FastAPI goes about it."""
        from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest

        return ChatCompletionRequest.model_validate(json.loads(body))


def _num_bytes(engine_input: Any) -> int:
    items = engine_input["mm_kwargs"]["image"]
    return sum(
        element.data.nbytes
        for item in items
        if item is not None
        for element in item.values()
        if element.data is not None
    )


async def stage_times(model: str, options: Options) -> dict[str, dict[str, float]]:
    """Kind -> stage -> median milliseconds: parsing by hand, decoding by a wrapper, the rest by vLLM's own
    timings.
    """
    from benchmarks.workloads import images

    renderer = PlainRenderer(model, timed=True)
    decoding = _time_decoding()
    found: dict[str, dict[str, float]] = {}
    for kind in options.kinds:
        times: dict[str, list[float]] = defaultdict(list)
        renderer.renderer._mm_timing_registry.stat()
        decoding.clear()
        for number in range(options.repeat):
            body = images(kind).body(500_000 + number)
            began = time.perf_counter()
            renderer.parse(body)
            times["parse"].append((time.perf_counter() - began) * 1000)
            await renderer.render(body)
        for stats in renderer.renderer._mm_timing_registry.stat().values():
            for name, stage in _STAGES.items():
                times[stage].append(stats.get(name, 0.0) * 1000)
        times["base64 and decode"] = list(decoding)
        found[kind] = {stage: percentile(values, 50) for stage, values in times.items()}
    return found


def _time_decoding() -> list[float]:
    """Milliseconds of every image that vLLM's connector decodes from now on."""
    from vllm.multimodal.media.connector import MediaConnector

    taken: list[float] = []
    decode = MediaConnector._load_data_url

    def timed(self: Any, url: str, media_io: Any) -> Any:
        """As vLLM's, with a clock."""
        began = time.perf_counter()
        try:
            return decode(self, url, media_io)
        finally:
            taken.append((time.perf_counter() - began) * 1000)

    MediaConnector._load_data_url = timed
    return taken


def main() -> None:
    """Measure and print."""
    options = read_options(__doc__ or "")

    async def measured() -> dict[str, dict[str, float]]:
        """The whole way, then its stages."""
        found = await measure_rendering(PlainRenderer(options.model, timed=False).render, options)
        return merge_stages(found, await stage_times(options.model, options))

    print(json.dumps(uvloop.run(measured())))


if __name__ == "__main__":
    main()
