"""What is under deploy/ fits the server: metrics, routes, settings."""

import json
import re
import shutil
import subprocess
from typing import Any

import prometheus_client
import pytest
import yaml

import phiserve.access.budgets
import phiserve.access.gate
import phiserve.api.request_log
import phiserve.connections.open
import phiserve.engine.sender
import phiserve.engine.supervisor
import phiserve.load
import phiserve.sandbox.decoder
import phiserve.vision.images  # noqa: F401 - as those above, registers its metrics
from phiserve.api import status
from phiserve.config import Settings
from promql import ALERTS, DASHBOARD, DEPLOY, Expression, expressions, missing, selectors


def own_series() -> dict[str, frozenset[str]]:
    """Name -> labels of every series that phiserve's own counters and gauges write."""
    found = {}
    for collector in {*prometheus_client.REGISTRY._names_to_collectors.values()}:
        if isinstance(collector, prometheus_client.Counter):
            found[f"{collector._name}_total"] = frozenset(collector._labelnames)
        elif isinstance(collector, prometheus_client.Gauge):
            found[collector._name] = frozenset(collector._labelnames)
    return {name: labels for name, labels in found.items() if name.startswith("phiserve_")}


def alert_rules() -> list[dict[str, Any]]:
    """All of them."""
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


@pytest.mark.parametrize("expression", expressions(), ids=str)
def test_expressions_ask_for_metrics_that_exist(expression: Expression) -> None:
    """All of them are PromQL. Names and labels of phiserve's metrics are in the code; vLLM's are held
    against a server by tests/e2e/test_metrics.py.
    """
    theirs = {
        selector.name: selector.labels
        for selector in selectors(expression.text)
        if not selector.name.startswith("phiserve_")
    }
    assert missing(expression.text, own_series() | theirs) == []


@pytest.mark.parametrize("text", ["sum(rate(phiserve_x_total[5m])", "rate(phiserve_x_total)", "sum by"])
def test_what_is_no_promql_is_noticed(text: str) -> None:
    """A bracket, a type, an end."""
    with pytest.raises(ValueError, match=r"."):
        selectors(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a", []),
        ("b", ["b"]),
        ('a{job="j", kind="k"}', []),
        ('a{other="o"}', ["a: other"]),
        ("sum by (other) (rate(a[5m]))", ["a: other"]),
        ("a and on (other) b", ["a: other", "b"]),
    ],
)
def test_what_does_not_exist_is_noticed(text: str, expected: list[str]) -> None:
    """Names, and labels wherever they stand."""
    assert missing(text, {"a": {"kind"}}) == expected


@pytest.mark.parametrize("expression", expressions(), ids=str)
def test_lines_are_named_after_labels_that_they_keep(expression: Expression) -> None:
    """A legend's labels are those that the expression groups by."""
    for label in re.findall(r"{{(\w+)}}", expression.legend):
        assert f"by ({label})" in expression.text


def test_panels_do_not_overlap() -> None:
    """Each has a number, a title and a place of its own, and says what it shows."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    for key in ("id", "title", "description", "gridPos"):
        assert len({str(panel[key]) for panel in panels}) == len(panels)
    assert all(panel["gridPos"]["x"] % 12 == panel["gridPos"]["y"] % 8 == 0 for panel in panels)
    assert all((panel["gridPos"]["w"], panel["gridPos"]["h"]) == (12, 8) for panel in panels)


def test_alerts_say_what_is_wrong() -> None:
    """Each has a name of its own, waits or looks back, and selects the job of the example configuration."""
    rules = alert_rules()
    (scrape,) = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yaml").read_text())["scrape_configs"]
    assert len({rule["alert"] for rule in rules}) == len(rules)
    for rule in rules:
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert rule["annotations"].keys() == {"summary", "description"}
        assert "for" in rule or "[10m]" in rule["expr"]
        assert {*re.findall(r'job="(\w+)"', rule["expr"])} == {scrape["job_name"]}
        assert rule["expr"].count("{job=") == len(selectors(rule["expr"]))


@pytest.mark.parametrize(
    "arguments", [("check", "config", "prometheus.yaml"), ("test", "rules", "alerts_test.yaml")]
)
def test_prometheus_agrees(arguments: tuple[str, ...]) -> None:
    """The configuration is valid, and on series made up for it every alert fires when it should."""
    if (promtool := shutil.which("promtool")) is None:
        pytest.skip("promtool (Debian's package prometheus) is not installed")
    subprocess.run(  # noqa: S603 - a tool of this machine with the arguments above
        [promtool, *arguments], cwd=DEPLOY / "prometheus", check=True, timeout=60
    )


def test_every_alert_is_tested() -> None:
    """In alerts_test.yaml each one fires."""
    tests = yaml.safe_load((DEPLOY / "prometheus" / "alerts_test.yaml").read_text())["tests"]
    cases = [case for test in tests for case in test["alert_rule_test"]]
    assert {case["alertname"] for case in cases if "exp_alerts" in case} == {
        rule["alert"] for rule in alert_rules()
    }


def test_systemd_starts_a_server_again() -> None:
    """After a status above zero; and it waits for an end in good order."""
    unit = (DEPLOY / "systemd" / "phiserve.service").read_text()
    values = dict(re.findall(r"^(\w+)=(.*)$", unit, re.MULTILINE))
    assert values["Restart"] == "on-failure"
    assert values["KillMode"] == "mixed"
    settings = Settings()
    assert int(values["TimeoutStopSec"]) > settings.shutdown_grace_s + settings.shutdown_delay_s + 30
    assert re.fullmatch(r"/\S+/phiserve serve --config /\S+", values["ExecStart"])


def test_kubernetes_asks_routes_that_exist() -> None:
    """Liveness and readiness are told apart, settings are known, and the grace period holds both of them."""
    deployment, service = yaml.safe_load_all((DEPLOY / "kubernetes" / "phiserve.yaml").read_text())
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    paths = {
        name: container[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "liveness", "readiness")
    }
    assert paths == {"startup": "/health", "liveness": "/health", "readiness": "/ready"}
    assert {*paths.values()} <= {getattr(route, "path", "") for route in status.router.routes}
    assert container["readinessProbe"]["timeoutSeconds"] > Settings().ready_timeout_s
    values = {entry["name"].removeprefix("PHISERVE_").lower(): entry["value"] for entry in container["env"]}
    settings = Settings.model_validate(values)
    assert settings.model_fields_set >= values.keys()
    assert pod["terminationGracePeriodSeconds"] > settings.shutdown_grace_s + settings.shutdown_delay_s
    assert container["ports"][0]["containerPort"] == settings.port
    assert service["spec"]["selector"] == deployment["spec"]["selector"]["matchLabels"]
