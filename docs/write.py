"""Writes what comes from the code into the pages, between `<!-- begin NAME -->` and `<!-- end NAME -->`.

`make docs` runs it; a test fails while a page says something else than the code.
"""

import ast
import json
import re
import types
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, get_args, get_origin

from fastapi.routing import APIRoute
from pydantic.fields import FieldInfo

from phiserve.api import chat, completions, conversations, decisions, files, status, uploads
from phiserve.api.batches import routes as batches
from phiserve.api.responses import routes as responses
from phiserve.api.responses import stored_routes
from phiserve.config import Settings
from phiserve.constraints import keywords
from phiserve.constraints.digits import MAX_DIGITS, MAX_EXPONENT_DIGITS
from phiserve.constraints.gbnf import MAX_GRAMMAR_COUNT, MAX_RULES
from phiserve.constraints.regex import MAX_COUNT
from phiserve.engine.plan import OWNED_ARGUMENTS
from phiserve.errors import RequestError
from phiserve.protocol.compatibility import COMPLETIONS_FIELDS, OPENAI_FIELDS, VLLM_FIELDS, Field, Support
from phiserve.protocol.formats import (
    MAX_CHOICE_CHARACTERS,
    MAX_CHOICES,
    MAX_GRAMMAR_CHARACTERS,
    MAX_REGEX_CHARACTERS,
)
from phiserve.protocol.refusals import refusals
from phiserve.protocol.responses.compatibility import RESPONSES_FIELDS, RESPONSES_VLLM_FIELDS
from phiserve.vision.fitting import LOW_MAX_CROPS
from phiserve.vision.sizes import plan_crops

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "server" / "phiserve"
PAGES = (ROOT / "ARCHITECTURE.md", *sorted((ROOT / "docs").glob("*.md")))
_BLOCK = re.compile(r"(<!-- begin (\w+) -->\n).*?(<!-- end \2 -->)", re.DOTALL)


def table(headings: Sequence[str], rows: Iterator[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in lines)


def settings() -> str:
    """Every setting: key, variable, type, default, meaning."""
    rows = (
        [f"`{name}`", _type(field.annotation), _default(field), _with_bounds(field)]
        for name, field in Settings.model_fields.items()
    )
    return table(["key", "type", "default", "meaning"], rows)


def owned() -> str:
    """Engine arguments that are decided elsewhere."""
    return table(
        ["argument", "instead"], ([f"`{name}`", reason] for name, reason in sorted(OWNED_ARGUMENTS.items()))
    )


def routes() -> str:
    """Every route."""
    stored = (stored_routes, conversations, files, uploads, batches)
    surfaces = (chat, completions, responses, *stored, decisions, status)
    every = (route for surface in surfaces for route in surface.router.routes)
    found = [route for route in every if isinstance(route, APIRoute)]
    return table(
        ["route", ""],
        ([f"`{' '.join(sorted(route.methods))} {route.path_format}`", str(route.summary)] for route in found),
    )


def totals() -> str:
    """How many fields of OpenAI's request, and of vLLM's own, have each fate."""
    tables = {"OpenAI's": OPENAI_FIELDS, "vLLM's own": VLLM_FIELDS}
    return " ".join(f"Of {whose} {len(table)} fields: {_counts(table)}." for whose, table in tables.items())


def refused() -> str:
    """All that is refused."""
    rows = ([place, ", ".join(map(_as_code, names)), reason] for place, names, reason in refusals())
    return table(["where", "what", "why"], rows)


def schema_keywords() -> str:
    """Keywords of JSON Schema that are enforced."""
    kinds = {
        "any": "any value",
        "object": "objects",
        "array": "arrays",
        "string": "strings",
        "number": "numbers",
    }
    return table(
        ["keyword", "about", ""],
        ([f"`{name}`", kinds[kind], note] for name, (kind, note) in keywords.KEYWORDS.items()),
    )


def schema_bounds() -> str:
    """Formats, annotations and bounds of JSON schemas and other constraints."""
    rows = {
        "`format`": _code(keywords.FORMATS),
        "without effect": f"{_code(keywords.ANNOTATIONS)}, and every name that JSON Schema does not know",
        "size of a schema": f"{keywords.MAX_SCHEMA_BYTES} bytes, {keywords.MAX_SCHEMA_DEPTH} levels",
        "values left open": f"{keywords.MAX_OPEN_DEPTH} lists and objects within one another",
        "`properties`": (
            f"{keywords.MAX_PROPERTIES} of an object, {keywords.MAX_OPTIONAL_PROPERTIES} of them optional; "
            f"{keywords.MAX_COUNTED_PROPERTIES} where they are counted"
        ),
        "`minItems`, `maxItems`": f"{keywords.MAX_ITEMS} together",
        "`minProperties`, `maxProperties`": str(keywords.MAX_ITEMS),
        "`minLength`, `maxLength`": str(keywords.MAX_LENGTH),
        "`pattern`": (
            f"{keywords.MAX_PATTERN_CHARACTERS} characters; "
            f"{keywords.MAX_COMBINED_PATTERNS} in schemas that are combined"
        ),
        "numbers": (
            f"±{keywords.MAX_NUMBER}; bounds further out are narrowed; "
            f"they have {keywords.MAX_DECIMALS} decimals"
        ),
        "digits of an answer's number": (
            f"{MAX_DIGITS} before the point and after it, {MAX_EXPONENT_DIGITS} of an exponent; "
            "more only where nothing else fits"
        ),
        "`multipleOf`": f"digits, without the point, that add up to {keywords.MAX_MULTIPLE}",
        "branches of `oneOf`": str(keywords.MAX_EXCLUSIVE),
        "`regex`": f"{MAX_REGEX_CHARACTERS} characters; counts to {MAX_COUNT}",
        "`grammar`": f"{MAX_GRAMMAR_CHARACTERS} characters, {MAX_RULES} rules; counts to {MAX_GRAMMAR_COUNT}",
        "`choice`": f"{MAX_CHOICES} choices, {MAX_CHOICE_CHARACTERS} characters together",
    }
    return table(["", ""], iter(rows.items()))


def errors() -> str:
    """Every class of failure, under each code that it can have."""
    kinds = sorted(_concrete(RequestError), key=lambda kind: (kind.status, kind.__name__))
    rows = (
        [str(kind.status), f"`{kind.type}`", f"`{code}`", when]
        for kind in kinds
        for code, when in (
            (kind.default_code, (kind.__doc__ or "").strip().splitlines()[0]),
            *kind.__dict__.get("other_codes", {}).items(),  # its own: a class below has other codes
        )
    )
    return table(["status", "type", "code", "when"], rows)


def modules() -> str:
    """Every module by package, each as its own docstring begins."""
    packages = sorted(path for path in PACKAGE.iterdir() if (path / "__init__.py").exists())
    rows = [_module_row(path) for path in _modules_in(PACKAGE)]
    for package in packages:
        rows.append([f"**`{package.name}/`**", _first_sentence(package / "__init__.py")])
        rows += [_module_row(path) for path in _modules_in(package)]
    return table(["module", ""], iter(rows))


def costs() -> str:
    """Tokens of images of common shapes under every `detail`; the model's own limit is 16 crops."""
    shapes = {
        "square": (1024, 1024),
        "4:3": (1024, 768),
        "3:4": (768, 1024),
        "16:9": (1920, 1080),
        "A4 page": (1240, 1754),
    }
    rows = (
        [name, *(str(plan_crops(*size, max_crops).num_tokens) for max_crops in (LOW_MAX_CROPS, 4, 9, 16))]
        for name, size in shapes.items()
    )
    return table(["image", "`low`", "`auto` at 4 crops", "`auto` at 9 crops", "`high`"], rows)


def _fates(fields: Mapping[str, Field]) -> str:
    order: list[str] = list(get_args(Support))
    ordered = sorted(fields.items(), key=lambda item: (order.index(item[1].support), item[0]))
    rows = ([f"`{name}`", field.support, _note(field)] for name, field in ordered)
    return table(["field", "", "note"], rows)


_WRITERS = (
    settings,
    owned,
    routes,
    totals,
    refused,
    schema_keywords,
    schema_bounds,
    errors,
    modules,
    costs,
)
BLOCKS: dict[str, Callable[[], str]] = {block.__name__: block for block in _WRITERS} | {
    "openai_fields": partial(_fates, OPENAI_FIELDS),
    "extra_fields": partial(_fates, VLLM_FIELDS),
    "completions_fields": partial(_fates, COMPLETIONS_FIELDS),
    "responses_fields": partial(_fates, RESPONSES_FIELDS),
    "responses_extra_fields": partial(_fates, RESPONSES_VLLM_FIELDS),
}


def page_as_it_should_be(page: Path) -> str:
    """A page's text with all its blocks written anew. Raises KeyError for a block that nobody writes."""
    return _BLOCK.sub(
        lambda match: f"{match[1]}{BLOCKS[match[2]]()}\n{match[3]}", page.read_text(encoding="utf-8")
    )


def _modules_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.py") if path.name != "__init__.py")


def _module_row(path: Path) -> list[str]:
    return [f"`{path.relative_to(PACKAGE)}`", _first_sentence(path)]


def _first_sentence(path: Path) -> str:
    """The first sentence of a module's docstring, on one line."""
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    paragraph = " ".join(docstring.partition("\n\n")[0].split())
    return paragraph.partition(". ")[0].rstrip(".")


def _counts(fields: Mapping[str, Field]) -> str:
    counts = Counter(field.support for field in fields.values())
    return ", ".join(f"{counts[support]} {support}" for support in get_args(Support) if counts[support])


def _as_code(name: str) -> str:
    """A name as it is written in a request; what describes several stays prose."""
    return f"`{name}`" if re.fullmatch(r"[$\\\w-]+", name) else name


def _code(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _note(field: Field) -> str:
    """The note, and which values of a refused field pass all the same."""
    values = ", ".join(f"`{json.dumps(value)}`" for value in field.allowed)
    return f"{field.note}; {values} may be sent" if values else field.note


def _concrete(kind: type[RequestError]) -> Iterator[type[RequestError]]:
    for child in kind.__subclasses__():
        if child.__module__ == "phiserve.errors":  # whatever else happens to be imported
            yield child
            yield from _concrete(child)


def _type(annotation: Any) -> str:
    """A type as a person says it."""
    if annotation is type(None):
        return "none"
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is types.UnionType or str(origin) == "typing.Union":
        return " or ".join(dict.fromkeys(_type(argument) for argument in arguments))
    if origin is tuple:
        return "list"
    names = {"str": "text", "SecretStr": "text", "AnyHttpUrl": "URL", "int": "integer", "float": "number"}
    names |= {"bool": "true or false", "dict": "mapping"}
    name = getattr(origin or annotation, "__name__", "")
    if name == "Annotated":
        return "folder" if "path_type='dir'" in str(annotation) else _type(arguments[0])
    return names.get(name, "file" if "Path" in name else name)


def _default(field: FieldInfo) -> str:
    value = field.get_default()
    if isinstance(value, tuple):
        value = list(value)
    return "none" if value is None else f"`{value}`"


def _with_bounds(field: FieldInfo) -> str:
    words = {"ge": "at least", "gt": "more than", "le": "at most"}
    bounds = [
        f"{words[name]} {getattr(item, name)}"
        for item in field.metadata
        for name in words
        if hasattr(item, name)
    ]
    return f"{field.description}" + (f" ({', '.join(bounds)})" if bounds else "")


if __name__ == "__main__":
    for path in PAGES:
        path.write_text(page_as_it_should_be(path), encoding="utf-8")
