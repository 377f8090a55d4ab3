"""A constraint on an answer's form that has passed every check."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["json_object", "json", "regex", "choice", "grammar"]
"""By vLLM's names; `json` is a JSON schema."""


ConstraintValue = Mapping[str, Any] | str | tuple[str, ...] | None
"""A schema (`json`), a text (`regex`, `grammar`), the texts to choose from (`choice`) or nothing (`json_object`)."""


@dataclass(frozen=True, slots=True)
class Constraint:
    """What an answer must look like, written for the grammar library; `param` is the path that asks for it."""

    kind: Kind
    value: ConstraintValue
    param: str
