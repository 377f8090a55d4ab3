"""What `phiserve top` shows: a server's state, its work and its owners, in 80 columns."""

from collections.abc import Mapping
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from phiserve.api.request_log import ASKED_OFTEN, CONNECTION_ROUTE
from phiserve.cli.readings import Interval, Reading
from phiserve.cli.streams import showable

UNKNOWN = "-"
_NOBODY = "(no key)"
_OWNER_COLUMNS = 30
_SECONDS = {
    "first token": "vllm:time_to_first_token_seconds",
    "whole answer": "vllm:e2e_request_latency_seconds",
    "queue": "vllm:request_queue_time_seconds",
}
"""Times that are shown, by their histograms."""

_REFUSED = {"phiserve_access_refused_total": "", "phiserve_queue_refused_total": "queue: "}
"""Counters of refusals by reason, and what is put before the reason."""


@dataclass(frozen=True, slots=True)
class Status:
    """How the server is, in words; `is_well` where it takes requests. `note`: what happened to it before."""

    text: str
    is_well: bool
    note: str = ""


def screen(url: str, status: Status, interval: Interval | None, most_owners: int | None = None) -> Group:
    """All of it. Without an interval, only the state. `most_owners`: rows there are for owners."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(width=12, no_wrap=True)
    grid.add_column()
    grid.add_row("server", Text(url, overflow="fold"))
    grid.add_row("state", Text(status.text, style="green" if status.is_well else "bold red"))
    if status.note:
        grid.add_row("", Text(status.note, style="yellow"))
    if interval is None:
        return Group(grid)
    for name, text in lines(interval).items():
        grid.add_row(name, Text(showable(text)))
    return Group(grid, "", _owners(interval, most_owners))


def lines(interval: Interval) -> dict[str, str]:
    """What is shown of the whole server, each line by its name."""
    now = interval.now
    texts = {
        "over": f"the last {interval.seconds:.0f} s",
        "requests": ", ".join(
            [
                f"{_count(now.value('vllm:num_requests_running'))} running",
                f"{_count(now.value('vllm:num_requests_waiting'))} waiting in the engine",
                *_queued(now),
                f"{_rate(_ended(interval))} ended/s",
            ]
        ),
        "tokens/s": (
            f"{_rate(interval.rate('vllm:prompt_tokens_total'))} prompt, "
            f"{_rate(interval.rate('vllm:generation_tokens_total'))} written"
        ),
    }
    for name, histogram in _SECONDS.items():
        if f"{histogram}_bucket" in now.values:
            median, high = (_seconds(interval.quantile(histogram, rank)) for rank in (0.5, 0.95))
            texts[name] = f"p50 {median}, p95 {high}"
    return texts | _caches(interval) | _images_and_engine(interval)


def _queued(now: Reading) -> list[str]:
    expected_s = now.value("phiserve_queue_seconds")
    return [] if expected_s is None else [f"{_seconds(expected_s)} expected wait"]


def _ended(interval: Interval) -> float | None:
    """Requests a second, without those of load balancers, Prometheus and this command."""
    routes = interval.rates("phiserve_requests_total", "route")
    return sum(rate for route, rate in routes.items() if route not in ASKED_OFTEN) if routes else None


def _caches(interval: Interval) -> dict[str, str]:
    sent, reused = "phiserve_images_sent_total", "phiserve_images_reused_total"
    prefix = interval.share("vllm:prefix_cache_hits_total", "vllm:prefix_cache_queries_total")
    images = interval.share(reused, sent, reused)
    return {
        "KV cache": f"{_percent(interval.now.value('vllm:kv_cache_usage_perc'))} used",
        "cache hits": f"{_percent(prefix)} of prompts' tokens, {_percent(images)} of images",
    }


def _images_and_engine(interval: Interval) -> dict[str, str]:
    now = interval.now
    return {
        "images/s": (
            f"{_rate(interval.rate('phiserve_images_read_total'))} received, "
            f"{_rate(interval.rate('phiserve_images_decoded_total'))} decoded"
        ),
        "engine": (
            f"{_count(now.value('phiserve_engine_ends_total'))} ends, "
            f"{_count(now.value('phiserve_engine_restarts_total'))} restarts, "
            f"{_count(now.value('phiserve_requests_resent_total'))} requests sent again"
        ),
        "refused": ", ".join(_refusals(interval)) or "none",
    }


def _refusals(interval: Interval) -> list[str]:
    """Each reason with the count since the server's start and the rate now."""
    texts = []
    for name, prefix in _REFUSED.items():
        texts += _reasons(interval.now.by(name, "reason"), interval.rates(name, "reason"), prefix)
    name = "phiserve_requests_total"
    counts = interval.now.by(name, "outcome", route=CONNECTION_ROUTE)
    return texts + _reasons(counts, interval.rates(name, "outcome", route=CONNECTION_ROUTE), "connection: ")


def _reasons(counts: Mapping[str, float], rates: Mapping[str, float], prefix: str) -> list[str]:
    return [
        f"{prefix}{reason} {_count(count)}" + (f" ({_rate(rates[reason])}/s)" if rates.get(reason) else "")
        for reason, count in sorted(counts.items())
        if count
    ]


def _owners(interval: Interval, most: int | None) -> RenderableType:
    """One row for each owner, those with the most tokens first."""
    requests = interval.rates("phiserve_owner_requests_total", "owner")
    running = interval.now.by("phiserve_owner_running", "owner")
    read, written = (
        interval.rates("phiserve_owner_tokens_total", "owner", kind=kind) for kind in ("prompt", "completion")
    )
    owners = sorted(
        {*requests, *running},
        key=lambda owner: (-read.get(owner, 0) - written.get(owner, 0), -running.get(owner, 0), owner),
    )
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("owner", max_width=_OWNER_COLUMNS, no_wrap=True, overflow="ellipsis")
    for column in ("running", "requests/s", "prompt tok/s", "written tok/s"):
        table.add_column(column, justify="right", no_wrap=True)
    for owner in owners[:most]:
        rates = (_rate(known.get(owner, 0)) for known in (requests, read, written))
        table.add_row(Text(showable(owner) or _NOBODY), _count(running.get(owner, 0)), *rates)
    if most is not None and len(owners) > most:
        table.add_row(f"and {len(owners) - most} more")
    return table


def _count(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.0f}"


def _rate(value: float | None) -> str:
    if value is None:
        return UNKNOWN
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}"


def _seconds(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.2f} s"


def _percent(share: float | None) -> str:
    return UNKNOWN if share is None else f"{share:.0%}"
