"""The metrics that dashboard and alert rules ask for are those of a server."""

from collections import defaultdict

import httpx
from prometheus_client.parser import text_string_to_metric_families

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
            "phiserve_requests_total",
        }
        assert missing(expression.text, series | unborn) == [], expression
