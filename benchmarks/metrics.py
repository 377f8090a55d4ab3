"""Counters of a server, from its /metrics page: what no client can see."""

import re
from collections.abc import Mapping

from benchmarks.local_http import ask

_LINE = re.compile(r"^([\w:]+)(?:\{[^}]*\})? (\S+)$")
COUNTERS = {
    "phiserve_images_read_total": "pictures_read",
    "phiserve_images_decoded_total": "pictures_decoded",
    "phiserve_images_sent_total": "pictures_sent",
    "phiserve_images_reused_total": "pictures_reused",
    "phiserve_image_bytes_sent_total": "picture_bytes_sent",
    "vllm:prefix_cache_queries_total": "prefix_cache_queries",
    "vllm:prefix_cache_hits_total": "prefix_cache_hits",
    "vllm:mm_cache_queries_total": "picture_cache_queries",
    "vllm:mm_cache_hits_total": "picture_cache_hits",
    "vllm:prompt_tokens_total": "prompt_tokens",
    "vllm:generation_tokens_total": "generation_tokens",
}
"""Name on the page -> name here. phiserve serves vLLM's own beside its own; plain vLLM has no counter of
bytes."""


def values(page: str) -> dict[str, float]:
    """All that a page in Prometheus' text format says, under its own names, summed over labels."""
    found: dict[str, float] = {}
    for line in page.splitlines():
        if match := _LINE.match(line):
            found[match[1]] = found.get(match[1], 0.0) + float(match[2])
    return found


def parse(page: str) -> dict[str, float]:
    """The counters of a page, under the names that they have here."""
    return {COUNTERS[name]: value for name, value in values(page).items() if name in COUNTERS}


def read(url: str) -> dict[str, float]:
    """The counters of a server at this moment. Raises OSError or HTTPException."""
    _, page = ask(url, "GET", "/metrics")
    return parse(page.decode())


def change(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """What was counted in between."""
    return {name: value - before.get(name, 0.0) for name, value in after.items()}
