"""What became of a client's checks, as it is kept in its folder."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path

from pydantic import JsonValue

from conformance.client_environments import Client, read_clients
from conformance.client_proxy import Exchange
from conformance.environment import ROOT

CHECKS = ("default", "picture", "stream", "structured", "tools", "agent")
"""Those that have a column of their own; a client may have others."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What a client says of one check; `ok` is None where it cannot do such a thing."""

    check: str
    ok: bool | None
    detail: str


@dataclass(frozen=True, slots=True)
class Result:
    """One run of a client, in the version that was installed."""

    client: Client
    version: str
    checks: tuple[Checked, ...]

    @property
    def green(self) -> bool:
        """Whether it did something, and nothing failed."""
        outcomes = [checked.ok for checked in self.checks]
        return True in outcomes and False not in outcomes


def version_of(client: Client) -> str:
    """The version of the client's package in its environment. Raises StopIteration where it is not there."""
    if client.pins.name == "package.json":
        package = client.environment / "node_modules" / client.package / "package.json"
        return str(json.loads(package.read_text(encoding="utf-8"))["version"])
    folders = map(str, (client.environment / "lib").glob("python*/site-packages"))
    return next(iter(distributions(name=client.package, path=list(folders)))).version


def write_result(result: Result) -> None:
    """Keep a result in the client's folder."""
    checks = {checked.check: {"ok": checked.ok, "detail": checked.detail} for checked in result.checks}
    content = {"version": result.version, "checks": checks}
    text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    _file(result.client).write_text(text, encoding="utf-8")


def read_results() -> tuple[Result, ...]:
    """The kept results of all clients that have been run, sorted by name."""
    return tuple(_read(client) for client in read_clients() if _file(client).exists())


def unmet(checked: Checked, exchanges: Sequence[Exchange]) -> str | None:
    """Why a check that passed shows nothing: no answered request had in it what the check is about."""
    bodies = [exchange.body for exchange in exchanges if exchange.status == 200]
    if checked.ok is not True:
        return None
    if not exchanges:
        return "the server was not asked"
    texts = [json.dumps(body) for body in bodies]
    if checked.check == "picture" and not any("data:image/" in text for text in texts):
        return "no request had an image"
    if checked.check == "stream" and not any(_has(body, "stream") for body in bodies):
        return "no request was streamed"
    if checked.check in ("tools", "agent") and not any(_has(body, "tools") for body in bodies):
        return "no request had tools"
    return None


def model_knows_the_tools() -> bool:
    """Whether the embedded model has been taught to call the toy tools: its exam then has a row for them."""
    return bool(json.loads((ROOT / "demo" / "results.json").read_text(encoding="utf-8")).get("tools"))


def without_lessons(checked: Checked, exchanges: Sequence[Exchange], taught: bool) -> Checked:
    """A loop (`agent`, `…_agent`) that failed though all that was asked was answered shows nothing where
    the model was not taught.
    """
    loop = checked.check == "agent" or checked.check.endswith("_agent")
    answered = bool(exchanges) and all(exchange.status == 200 for exchange in exchanges)
    if checked.ok is False and loop and answered and not taught:
        return Checked(checked.check, None, "the embedded model was not taught to call these tools")
    return checked


def _has(body: JsonValue, key: str) -> bool:
    return isinstance(body, dict) and bool(body.get(key))


def _file(client: Client) -> Path:
    return client.folder / "results.json"


def _read(client: Client) -> Result:
    content = json.loads(_file(client).read_text(encoding="utf-8"))
    checks = (Checked(name, row["ok"], row["detail"]) for name, row in content["checks"].items())
    return Result(client, content["version"], tuple(checks))
