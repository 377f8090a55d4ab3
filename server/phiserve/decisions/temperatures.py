"""Temperatures that calibrate probabilities: by the kind of question, and by how many options it has."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from phiserve.decisions.questions import Kind
from phiserve.errors import StartupError

TEMPERATURES_FILE = "decision_temperatures.json"
"""What the file is called in a checkpoint."""

_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_ByKind = TypeAdapter(dict[Kind, dict[Annotated[int, Field(ge=2)], _Positive]])


@dataclass(frozen=True, slots=True)
class Temperatures:
    """`by_kind`: temperatures by the number of options, for each kind; above 1 makes answers less sure.

    A number that is not there takes the temperature of the nearest one that is, the smaller of two; a kind
    that is not there takes 1.
    """

    by_kind: Mapping[Kind, Mapping[int, float]] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> "Temperatures":
        """Read a file as `{"choice": {"2": 1.4, "5": 1.1}, …}`. Raises StartupError."""
        try:
            return cls(_ByKind.validate_json(path.read_bytes()))
        except OSError as error:
            raise StartupError(f"The temperatures of decisions cannot be read: {error}") from None
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"])) or "the file"
            raise StartupError(f"{path}: {where}: {first['msg']}") from None

    def save(self, path: Path) -> None:
        """Write them as `load` reads them. Raises StartupError."""
        try:
            by_kind = {kind: dict(by_number) for kind, by_number in self.by_kind.items()}
            path.write_bytes(_ByKind.dump_json(by_kind, indent=1) + b"\n")
        except OSError as error:
            raise StartupError(f"The temperatures of decisions cannot be written: {error}") from None

    def replaced_by(self, other: "Temperatures") -> "Temperatures":
        """These, but for kinds of which `other` has temperatures."""
        return Temperatures({**self.by_kind, **other.by_kind})

    def of(self, kind: Kind, num_options: int) -> float:
        """The temperature for a question."""
        known = self.by_kind.get(kind)
        if not known:
            return 1.0
        nearest = min(known, key=lambda number: (abs(number - num_options), number))
        return known[nearest]


def load_temperatures(named: Path | None, of_checkpoint: Path | None) -> Temperatures:
    """Those of a file that was named, else of a checkpoint's own file if it has one. Raises StartupError."""
    file = named or of_checkpoint
    return Temperatures() if file is None else Temperatures.load(file)
