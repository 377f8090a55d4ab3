"""The metrics that dashboard, alert rules and `phiserve top` ask for are those of a server."""

import re
from collections import defaultdict

import httpx
from prometheus_client.parser import text_string_to_metric_families
from typer.testing import CliRunner

from phiserve.cli.main import app
from promql import expressions, missing, selectors


def test_expressions_ask_for_metrics_that_a_server_has(url: str) -> None:
    """vLLM's, the process's and phiserve's, with their labels. A series of phiserve's that has a label begins
    with its first event: only its name is there before.
    """
    text = httpx.get(f"{url}/metrics", timeout=60).text
    series: dict[str, set[str]] = defaultdict(set, {"up": set()})  # Prometheus' own
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            series[sample.name] |= sample.labels.keys()
    for expression in expressions():
        unborn = {
            selector.name: {*selector.labels}
            for selector in selectors(expression.text)
            if selector.name not in series and f"# TYPE {selector.name} counter\n" in text
        }
        assert {*unborn} <= {
            "phiserve_access_refused_total",
            "phiserve_owner_tokens_total",
            "phiserve_queue_refused_total",
            "phiserve_requests_total",
        }
        assert missing(expression.text, series | unborn) == [], expression


def test_top_knows_all_that_it_shows(url: str) -> None:
    """No number is unknown that a server has from its start; owners and rates need requests."""
    model = httpx.get(f"{url}/v1/models", timeout=60).json()["data"][0]["id"]
    body = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4, "model": model}
    httpx.post(f"{url}/v1/chat/completions", json=body, timeout=60).raise_for_status()
    result = CliRunner().invoke(app, ["top", "--once", "--interval", "0.5", "--url", url])
    assert result.exit_code == 0, result.stderr
    shown = dict(re.findall(r"^(\S+(?: \S+)?) {2,}(.*?) *$", result.stdout, re.MULTILINE))
    assert shown["state"] == "ready"
    for name in ("requests", "tokens/s", "KV cache", "images/s", "engine"):
        assert "-" not in shown[name]
    assert {"first token", "whole answer", "cache hits", "(no key)"} <= shown.keys()
