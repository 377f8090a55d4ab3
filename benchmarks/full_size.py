"""Parts `machine` and `full`: what the machine can do, and how near a checkpoint of the real model's size
comes to it, served.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import replace

import psutil

from benchmarks.answers import first_token_ms, summary
from benchmarks.bench import Bench, session_record
from benchmarks.checkpoints import FULL_BYTES, SHAPES
from benchmarks.command import environment, json_of
from benchmarks.load import Closed, send
from benchmarks.local_http import ask
from benchmarks.peers import PHISERVE, RunningPeer
from benchmarks.records import Record
from benchmarks.session import warm_up
from benchmarks.settings import GIB
from benchmarks.work_counts import clip_flops, decode_bytes, prefill_flops
from benchmarks.workloads import images, texts

MACHINE = "machine"
NEEDED_BYTES = FULL_BYTES + 6 * GIB
"""Weights, a KV cache of 2 GiB, the processes, and room for the page cache to load from."""

BATCHES = (1, 2, 4, 8, 16)
PHOTO_CROPS = 13
"""What CLIP sees of a 4:3 photo of 16 crops: twelve, and the global view."""

PHOTO_TOKENS = 1921


def machine_limits(bench: Bench) -> None:
    """Bandwidth and matrix products, measured at this moment."""
    command = ["-m", "benchmarks.roofline", *(["--repeat", "3", "--megabytes", "256"] if bench.short else [])]
    bench.results.command("machine's limits", " ".join(["python", *command]))
    measures = json_of([sys.executable, *command], environment(), timeout_s=600)
    bench.results.add([Record("machine", MACHINE, "limits", "all cores", 0, measures)])


def full_size(bench: Bench) -> None:
    """Decoding at batch 1 to 16, a prompt and a photo, on phiserve alone; written down as left out where
    memory is short.
    """
    if bench.settings.dtype != "bfloat16":
        bench.results.note(
            "The checkpoint of the real model's size was left out: this processor does not multiply bf16."
        )
        return
    free = psutil.virtual_memory().available
    if free < NEEDED_BYTES or bench.short:
        why = (
            "a short run"
            if bench.short
            else f"{NEEDED_BYTES / GIB:.0f} GiB are needed and {free / GIB:.0f} GiB are free"
        )
        bench.results.note(f"The checkpoint of the real model's size was left out: {why}.")
        return
    settings = replace(bench.settings, max_model_len=4096, kv_cache_memory_bytes=2 * GIB, max_num_seqs=16)
    with bench.serving(PHISERVE, "full", settings) as server:
        bench.results.add(_measure(server))
        bench.results.add([session_record("full", server, 0)])


def _measure(server: RunningPeer) -> Iterator[Record]:
    warm_up(server, texts(answer_tokens=4))
    for batch in BATCHES:
        yield _decode(server, batch)
    for batch in (1, 4):
        yield _prefill(server, batch)
    yield _photo(server)


def _decode(server: RunningPeer, batch: int) -> Record:
    """A step is the median time between tokens. The first steps are the prompts'."""
    answers = send(Closed(batch), server.url, texts(24, answer_tokens=24).bodies(batch, batch * 100))
    measures = summary(answers)
    step_s = measures["itl_p50_ms"] / 1000
    context = 80  # about: words of the prompt and half of the answer
    measures["achieved_gb_per_s"] = decode_bytes(SHAPES["full"], batch, context) / step_s / 1e9
    return Record("full", server.name, "decode", f"batch {batch}", 0, measures)


def _prefill(server: RunningPeer, batch: int) -> Record:
    answers = send(Closed(batch), server.url, texts(300, answer_tokens=2).bodies(batch, 10_000 + batch * 100))
    tokens = _prompt_tokens(server, 300)
    last_s = max(first_token_ms(answer) for answer in answers if answer.arrivals_s) / 1000
    flops = batch * prefill_flops(SHAPES["full"], tokens)
    measures = {
        "ttft_last_s": last_s,
        "prompt_tokens": float(tokens),
        "achieved_gflop_per_s": flops / last_s / 1e9,
    }
    return Record("full", server.name, "prefill", f"batch {batch}", 0, measures)


def _photo(server: RunningPeer) -> Record:
    """A photo: CLIP's work and its tokens' in the decoder."""
    answers = send(Closed(1), server.url, images("1 MP", answer_tokens=2).bodies(1, 7))
    seconds = first_token_ms(answers[0]) / 1000
    flops = clip_flops(SHAPES["full"].clip_layers, PHOTO_CROPS) + prefill_flops(SHAPES["full"], PHOTO_TOKENS)
    measures = {"ttft_last_s": seconds, "achieved_gflop_per_s": flops / seconds / 1e9}
    return Record("full", server.name, "photo", "batch 1", 0, measures)


def _prompt_tokens(server: RunningPeer, words: int) -> int:
    """What the server counts for such a text."""
    _, answer = ask(server.url, "POST", "/tokenize", texts(words).body(0))
    return int(json.loads(answer)["count"])
