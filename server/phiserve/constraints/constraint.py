"""A constraint on an answer's form that has passed every check, and why one is refused."""

import json
from dataclasses import dataclass

SchemaPath = tuple[str | int, ...]
"""Keys and indices from a schema's root."""


@dataclass(frozen=True, slots=True)
class Constraint:
    """What an answer must look like, as a Lark grammar of llguidance's; `param` is the path that asks for it.

    `grammar` has been compiled once, within `limits.LIMITS`. `is_open`: it does not say how long an answer
    may become, as a text without `maxLength` may. `is_endless`: it asks for an object and does not say of
    what, so that a weak model finds no end. `keeps_first_space`: a space that an answer begins with was asked
    for, and is no habit of the tokenizer's.
    """

    grammar: str
    param: str
    is_open: bool = False
    is_endless: bool = False
    keeps_first_space: bool = False


class UnsupportedConstraint(Exception):
    """What would not be enforced, could never be answered or costs too much; `path` is where it stands."""

    def __init__(self, reason: str, path: SchemaPath = ()) -> None:
        super().__init__(reason)
        self.reason = reason
        self.path = path


class InvalidSchema(UnsupportedConstraint):
    """The schema is not one."""


def write_path(path: SchemaPath) -> str:
    """`("properties", "a b", "anyOf", 0)` -> `.properties["a b"].anyOf[0]`."""
    return "".join(map(_write_step, path))


def _write_step(step: str | int) -> str:
    if isinstance(step, int):
        return f"[{step}]"
    plain = step.replace("$", "").replace("-", "_").isidentifier() and len(step) <= 100
    return f".{step}" if plain else f"[{json.dumps(step[:100])}]"
