"""The PromQL expressions under deploy/, and what they ask for."""

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import promql_parser
import yaml

from snippets import ROOT

DEPLOY = ROOT / "deploy"
DASHBOARD = DEPLOY / "grafana" / "phiserve.json"
ALERTS = DEPLOY / "prometheus" / "alerts.yaml"

SCRAPE_LABELS = frozenset({"job", "instance"})
"""Labels that Prometheus itself gives to every series that it reads from a server."""

_LABEL_VALUES = re.compile(r"label_values\((.+), (\w+)\)")


@dataclass(frozen=True)
class Expression:
    """`place` is where it stands, `legend` Grafana's template of a line's name."""

    place: str
    text: str
    legend: str = ""

    def __str__(self) -> str:
        return self.place


def expressions() -> list[Expression]:
    """All expressions of the dashboard, its variables among them, and of the alert rules."""
    return [*_of_dashboard(), *_of_alerts()]


def _of_dashboard() -> list[Expression]:
    board = json.loads(DASHBOARD.read_text())
    found = [
        Expression(
            f"{panel['title']} {target['refId']}",
            target["expr"].replace("$__rate_interval", "5m"),
            target["legendFormat"],
        )
        for panel in board["panels"]
        for target in panel["targets"]
    ]
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":  # a function of Grafana's
            text = _LABEL_VALUES.sub(r"sum by (\2) (\1)", variable["query"])
            found.append(Expression(f"variable {variable['name']}", text))
    return found


def _of_alerts() -> list[Expression]:
    groups = yaml.safe_load(ALERTS.read_text())["groups"]
    return [Expression(rule["alert"], rule["expr"]) for group in groups for rule in group["rules"]]


@dataclass(frozen=True)
class Selector:
    """A series' name, and the labels that the expression takes it to have."""

    name: str
    labels: frozenset[str]


def selectors(text: str) -> list[Selector]:
    """What an expression selects, with the labels that it matches, groups by or joins on. Raises ValueError
    where it is not PromQL.
    """
    found: list[Selector] = []
    grouped: list[frozenset[str]] = []

    def enter(node: promql_parser.Expr) -> None:
        grouped.append(_grouping(node))
        if isinstance(node, promql_parser.VectorSelector):
            assert node.name, f"a selector without a name: {text}"
            matched = {matcher.name for matcher in node.matchers.matchers}
            found.append(Selector(node.name, frozenset(matched.union(*grouped))))

    def leave(node: promql_parser.Expr) -> None:
        grouped.pop()

    promql_parser.walk(promql_parser.parse(text), enter, leave)
    return found


def _grouping(node: promql_parser.Expr) -> frozenset[str]:
    """Labels that a node takes all series below it to have."""
    if isinstance(node, promql_parser.AggregateExpr) and node.modifier is not None:
        return frozenset(node.modifier.labels)
    if isinstance(node, promql_parser.BinaryExpr) and node.modifier is not None:
        matching = node.modifier.matching
        return frozenset() if matching is None else frozenset(matching.labels)
    return frozenset()


def missing(text: str, series: Mapping[str, Collection[str]]) -> list[str]:
    """Names and labels of an expression that are not among `series` (name -> its own labels)."""
    found = []
    for selector in selectors(text):
        if selector.name not in series:
            found.append(selector.name)
        elif unknown := selector.labels - SCRAPE_LABELS - {*series[selector.name]}:
            found.append(f"{selector.name}: {', '.join(sorted(unknown))}")
    return found
