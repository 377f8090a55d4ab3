"""What a run writes down: one JSON file, rewritten whole after every record, so that an ended run loses
nothing.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.command import ROOT
from benchmarks.figures import Spread, spread


@dataclass(frozen=True, slots=True)
class Record:
    """One measurement: which part, whose, of what, under which load, and the numbers, whose names end in
    their units.
    """

    part: str
    peer: str
    workload: str
    load: str
    repetition: int
    measures: dict[str, float]


@dataclass(frozen=True, slots=True)
class Context:
    """What the numbers depend on."""

    began: str
    command: str
    options: Mapping[str, Any]
    machine: Mapping[str, str]
    versions: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Results:
    """A run as it was written down."""

    context: Context
    records: tuple[Record, ...]
    commands: Mapping[str, str]
    notes: tuple[str, ...]

    def spread_of(self, part: str, workload: str, load: str, peer: str, measure: str) -> Spread | None:
        """All repetitions of one measure, or None where it was not taken."""
        values = [
            record.measures[measure]
            for record in self.records
            if (record.part, record.workload, record.load, record.peer) == (part, workload, load, peer)
            and measure in record.measures
        ]
        return spread(values) if values else None

    def median_of(self, part: str, workload: str, load: str, peer: str, measure: str) -> float | None:
        """The median of all repetitions, or None where it was not taken."""
        found = self.spread_of(part, workload, load, peer, measure)
        return None if found is None else found.median

    def of_part(self, part: str) -> tuple[Record, ...]:
        """Records of a part, as they were taken."""
        return tuple(record for record in self.records if record.part == part)


@dataclass
class ResultsFile:
    """The file of a run that is under way."""

    path: Path
    context: Context
    _records: list[Record] = field(default_factory=list)
    _commands: dict[str, str] = field(default_factory=dict)
    _notes: list[str] = field(default_factory=list)

    def add(self, records: Iterable[Record]) -> None:
        """Write records down as they come, each at once."""
        for record in records:
            self._records.append(record)
            self._write()

    def command(self, name: str, command: str) -> None:
        """Write down what was started, once for each name."""
        if name not in self._commands:
            self._commands[name] = anywhere(command)
            self._write()

    def note(self, text: str) -> None:
        """Write down what a reader must know of the run, once."""
        if (told := anywhere(text)) not in self._notes:
            self._notes.append(told)
            self._write()

    @classmethod
    def go_on(cls, path: Path) -> "ResultsFile":
        """A run that has ended, to be added to. Raises as `read_results`."""
        begun = read_results(path)
        return cls(path, begun.context, list(begun.records), dict(begun.commands), list(begun.notes))

    @property
    def results(self) -> Results:
        """What has been written so far."""
        return Results(self.context, tuple(self._records), dict(self._commands), tuple(self._notes))

    def _write(self) -> None:
        content = {
            **asdict(self.context),
            "commands": self._commands,
            "notes": self._notes,
            "records": [asdict(record) for record in self._records],
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_suffix(".part")
        partial.write_text(json.dumps(content, indent=1), encoding="utf-8")
        partial.replace(self.path)


def anywhere(text: str) -> str:
    """Without what only this machine's paths begin with."""
    return text.replace(f"{ROOT}/", "").replace(str(Path.home()), "~")


def read_results(path: Path) -> Results:
    """Read a run's file. Raises OSError, ValueError, KeyError or TypeError for what is none."""
    content = json.loads(path.read_text(encoding="utf-8"))
    keys = ("began", "command", "options", "machine", "versions")
    return Results(
        Context(**{key: content[key] for key in keys}),
        tuple(Record(**record) for record in content["records"]),
        content["commands"],
        tuple(content["notes"]),
    )
