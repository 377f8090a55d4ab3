"""Everything that a request may ask for and that is refused, with the reason, in one list.

Fields come from the tables that refuse them, keywords of schemas from the one that enforces them; kinds of
parts, items and tools are here.
"""

import json
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from phiserve.codecs.formats import EXTRA_FORMATS, FORMATS
from phiserve.codecs.jpeg_entropy import MAX_EXTRA_BYTES
from phiserve.constraints import keywords
from phiserve.protocol.compatibility import (
    CALL_FIELDS,
    COMPLETIONS_FIELDS,
    FUNCTION_FIELDS,
    OPENAI_FIELDS,
    RESPONSES_FUNCTION_FIELDS,
    STREAM_OPTIONS_FIELDS,
    STRUCTURED_OUTPUTS_FIELDS,
    VLLM_FIELDS,
    Field,
)
from phiserve.protocol.responses.compatibility import ALL_RESPONSES_FIELDS


class Refusal(NamedTuple):
    """What is refused for one reason. `place`: what it is, or where it stands in a request."""

    place: str
    names: tuple[str, ...]
    reason: str


_SURFACES: Mapping[str, Mapping[str, Field]] = {
    "chat": OPENAI_FIELDS | VLLM_FIELDS,
    "completions": COMPLETIONS_FIELDS,
    "responses": ALL_RESPONSES_FIELDS,
}

_OBJECTS: Mapping[str, Mapping[str, Field]] = {
    "stream_options": STREAM_OPTIONS_FIELDS,
    "structured_outputs": STRUCTURED_OUTPUTS_FIELDS,
    "function of chat": FUNCTION_FIELDS,
    "function of responses": RESPONSES_FUNCTION_FIELDS,
    "call or output of responses": CALL_FIELDS,
}

CHAT_PARTS: Mapping[str, str] = {
    "input_audio": "the model does not hear",
}
"""Content parts of OpenAI's chat messages."""

_RUN = "the server runs no tools; describe a function, and run it yourself"

CHAT_TOOLS: Mapping[str, str] = {
    "custom": "a call is a JSON object that follows a schema; describe a function"
}
"""Tools of OpenAI's chat requests."""

RESPONSES_TOOLS: Mapping[str, str] = {
    **CHAT_TOOLS,
    **dict.fromkeys(
        (
            *("apply_patch", "code_interpreter", "computer", "computer_use_preview", "file_search"),
            *("image_generation", "local_shell", "mcp", "programmatic_tool_calling", "shell", "tool_search"),
            *("web_search", "web_search_2025_08_26", "web_search_preview", "web_search_preview_2025_03_11"),
        ),
        _RUN,
    ),
    "namespace": "functions are told apart by their names alone",
}
"""Tools of Responses."""

RESPONSES_ITEMS: Mapping[str, str] = {
    "reasoning": "the model does not reason apart from its answer",
    **dict.fromkeys(
        ("compaction", "compaction_trigger"),
        "prompts are not compacted; `truncation: auto` leaves out the oldest messages",
    ),
    **dict.fromkeys(
        (
            *("additional_tools", "apply_patch_call", "apply_patch_call_output", "code_interpreter_call"),
            *("computer_call", "computer_call_output", "custom_tool_call", "custom_tool_call_output"),
            *("file_search_call", "image_generation_call", "local_shell_call", "local_shell_call_output"),
            *("mcp_approval_request", "mcp_approval_response", "mcp_call", "mcp_list_tools", "program"),
            *("program_output", "shell_call", "shell_call_output", "tool_search_call", "tool_search_output"),
            "web_search_call",
        ),
        "calls and results of tools are those of functions",
    ),
}
"""Items of Responses' input."""


def refusals() -> list[Refusal]:
    """The whole list: fields first, then what stands in them."""
    kinds = {
        "content part of chat": CHAT_PARTS,
        "tool of chat": CHAT_TOOLS,
        "tool of responses": RESPONSES_TOOLS,
        "item of responses": RESPONSES_ITEMS,
    }
    return [
        *_fields(),
        *_nested(),
        Refusal(
            "completions",
            ("`echo` beside `logprobs`", "`max_tokens: 0`"),
            "log-probabilities are of answers alone, which have a token at least: prompts are not scored",
        ),
        *(refusal for place, reasons in kinds.items() for refusal in _by_reason(place, reasons)),
        *_IMAGES,
        *_FORMS,
    ]


_IMAGES = (
    Refusal("file", ("kinds other than PDFs and images",), "nothing else can be shown"),
    Refusal("file", ("encrypted PDFs",), "a request has no place for a password"),
    Refusal("image", ("a `uuid` in place of the image",), "none is kept by its name"),
    Refusal(
        "image",
        (f"formats other than {', '.join(FORMATS)}",),
        f"few decoders, each closed off; {' and '.join(EXTRA_FORMATS)} where the settings name them",
    ),
    Refusal("image", ("http, https and file URLs",), "unless the settings name hosts, or a folder"),
    Refusal("image", ("other URLs, and data URLs without base64",), "nothing else brings an image"),
    Refusal(
        "image",
        ("arithmetically coded, lossless, hierarchical, 12-bit and unusually sampled JPEGs",),
        "no common encoder writes them, or damage in them can't be told",
    ),
    Refusal(
        "image",
        ("JPEGs of several scans, as progressive ones, with foreign bytes before their end mark",),
        "these can't be told from what damage leaves over",
    ),
    Refusal(
        "image",
        (
            f"JPEGs with more than {MAX_EXTRA_BYTES} foreign bytes before their end mark",
            "those with any behind a last byte that is not filled up with ones",
        ),
        "called damaged: what has overwritten the end of an image can't be told from them",
    ),
)
_FORMS = (
    Refusal("JSON schema", keywords.REFUSED, "what would not be enforced is refused"),
    Refusal("JSON schema", ("`uniqueItems: true`",), "items of an answer are not compared"),
    Refusal("JSON schema", ("`oneOf` whose branches can't be told apart",), "a value might follow several"),
    Refusal("JSON schema's `format`", keywords.UNENFORCED_FORMATS, "its form is not enforced"),
    Refusal(
        "regular expression",
        ("look-ahead, look-behind, back-references", "\\b", "\\p"),
        "the grammar library has none; zod's and pydantic's patterns with look-ahead are read without",
    ),
)


def _fields() -> Iterator[Refusal]:
    """Fields that are refused, each once with all routes that refuse it for the same reason."""
    places: dict[tuple[str, str], list[str]] = {}
    for surface, fields in _SURFACES.items():
        for name, field in fields.items():
            if field.support == "refused":
                places.setdefault((name, field.note), []).append(surface)
    for (name, reason), surfaces in sorted(places.items()):
        yield Refusal(f"field of {', '.join(surfaces)}", (name,), reason)


def _nested() -> Iterator[Refusal]:
    """Fields of objects within requests; what passes of each stands in no other list."""
    for place, fields in _OBJECTS.items():
        for name, field in fields.items():
            passing = ", ".join(f"`{json.dumps(value)}`" for value in field.allowed)
            yield Refusal(place, (name,), f"{field.note}; {passing} may be sent" if passing else field.note)


def _by_reason(place: str, reasons: Mapping[str, str]) -> Iterator[Refusal]:
    """Kinds that are refused for one reason, together."""
    for reason in dict.fromkeys(reasons.values()):
        yield Refusal(place, tuple(name for name in reasons if reasons[name] == reason), reason)
