"""What `phiserve top` makes of a server's metrics."""

import io
import re

from rich.console import Console

from phiserve.cli.readings import Interval, between, parse
from phiserve.cli.top_view import Status, lines, screen

URL = "http://127.0.0.1:8000/v1"
READY = Status("ready", is_well=True)


def metrics(step: int) -> str:
    """A server's metrics, `step` seconds after its start."""
    return f"""\
vllm:num_requests_running{{engine="0"}} 3.0
vllm:num_requests_waiting{{engine="0"}} 2.0
vllm:kv_cache_usage_perc{{engine="0"}} 0.25
vllm:prompt_tokens_total{{engine="0"}} {1000.0 * step}
vllm:generation_tokens_total{{engine="0"}} {40.0 * step}
vllm:prefix_cache_queries_total{{engine="0"}} {10.0 * step}
vllm:prefix_cache_hits_total{{engine="0"}} {7.0 * step}
vllm:time_to_first_token_seconds_bucket{{le="0.5"}} {1.0 * step}
vllm:time_to_first_token_seconds_bucket{{le="1.0"}} {2.0 * step}
vllm:time_to_first_token_seconds_bucket{{le="+Inf"}} {2.0 * step}
vllm:e2e_request_latency_seconds_bucket{{le="1.0"}} 0.0
vllm:e2e_request_latency_seconds_bucket{{le="+Inf"}} 0.0
vllm:request_queue_time_seconds_bucket{{le="2.0"}} {2.0 * step}
vllm:request_queue_time_seconds_bucket{{le="+Inf"}} {2.0 * step}
phiserve_queue_seconds 1.5
phiserve_queue_refused_total{{reason="full"}} {3.0 * step}
phiserve_access_refused_total{{reason="tokens"}} 4.0
phiserve_access_refused_total{{reason="key"}} 0.0
phiserve_requests_total{{route="/v1/chat/completions",outcome="ok"}} {6.0 * step}
phiserve_requests_total{{route="/metrics",outcome="ok"}} {9.0 * step}
phiserve_requests_total{{route="connection",outcome="request_timeout"}} 2.0
phiserve_images_read_total {4.0 * step}
phiserve_images_decoded_total {2.0 * step}
phiserve_images_sent_total {3.0 * step}
phiserve_images_reused_total {1.0 * step}
phiserve_engine_ends_total 2.0
phiserve_engine_restarts_total 1.0
phiserve_requests_resent_total 7.0
phiserve_owner_requests_total{{owner="alice"}} {1.0 * step}
phiserve_owner_requests_total{{owner="{"long" * 20}"}} {2.0 * step}
phiserve_owner_requests_total{{owner=""}} 0.0
phiserve_owner_tokens_total{{owner="alice",kind="prompt"}} {100.0 * step}
phiserve_owner_tokens_total{{owner="alice",kind="image"}} {90.0 * step}
phiserve_owner_tokens_total{{owner="alice",kind="completion"}} {10.0 * step}
phiserve_owner_running{{owner="alice"}} 3.0
"""


def interval() -> Interval:
    """Four seconds."""
    return between(parse(metrics(3), 50), parse(metrics(7), 54))


def shown(*, width: int = 80, most_owners: int | None = None, of: Interval | None = None) -> list[str]:
    """The screen's lines, without spaces at their ends."""
    console = Console(file=io.StringIO(), record=True, width=width)
    console.print(screen(URL, READY, of or interval(), most_owners))
    return [line.rstrip() for line in console.export_text().splitlines()]


def test_the_server() -> None:
    """Every number, over the time between the readings."""
    assert lines(interval()) == {
        "over": "the last 4 s",
        "requests": "3 running, 2 waiting in the engine, 1.50 s expected wait, 6.0 ended/s",
        "tokens/s": "1000 prompt, 40.0 written",
        "first token": "p50 0.50 s, p95 0.95 s",
        "whole answer": "p50 -, p95 -",
        "queue": "p50 1.00 s, p95 1.90 s",
        "KV cache": "25% used",
        "cache hits": "70% of prompts' tokens, 25% of images",
        "images/s": "4.0 received, 2.0 decoded",
        "engine": "2 ends, 1 restarts, 7 requests sent again",
        "refused": "tokens 4, queue: full 21 (3.0/s), connection: request_timeout 2",
    }


def test_owners() -> None:
    """Those with the most tokens first; requests without a key have a row of their own."""
    rows = [re.split(r"  +", line) for line in shown()[-4:]]
    assert rows == [
        ["owner", "running", "requests/s", "prompt tok/s", "written tok/s"],
        ["alice", "3", "1.0", "100", "10.0"],
        ["(no key)", "0", "0.0", "0.0", "0.0"],
        ["longlonglonglonglonglonglongl…", "0", "2.0", "0.0", "0.0"],
    ]


def test_more_owners_than_rows() -> None:
    """The rest is counted."""
    assert [re.split(r"  +", line) for line in shown(most_owners=1)[-2:]] == [
        ["alice", "3", "1.0", "100", "10.0"],
        ["and 2 more"],
    ]


def test_it_fits_a_terminal() -> None:
    """Of 80 columns; what is longer goes on in the next line."""
    text = shown()
    assert max(map(len, text)) <= 80
    assert len(text) <= 24
    assert text[:2] == [f"server        {URL}", "state         ready"]


def test_a_server_that_lacks_metrics() -> None:
    """What is not known is a dash, never a zero."""
    empty = parse("", 0)
    told = lines(between(empty, parse("", 1)))
    assert told["requests"] == "- running, - waiting in the engine, - ended/s"
    assert told["KV cache"] == "- used"
    assert told["refused"] == "none"
    assert "first token" not in told


def test_without_an_interval() -> None:
    """The state and what happened alone."""
    console = Console(file=io.StringIO(), record=True, width=80)
    console.print(screen(URL, Status("away", is_well=False, note="back"), None))
    assert [line.split() for line in console.export_text().splitlines()] == [
        ["server", URL],
        ["state", "away"],
        ["back"],
    ]
