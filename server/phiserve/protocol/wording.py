"""What is wrong with a value of a request, in plain words: a library's own speak of Python, and of itself."""

from collections.abc import Callable, Mapping

from pydantic_core import ErrorDetails

Context = Mapping[str, object]

_WORDS: dict[str, str | Callable[[Context], str]] = {
    "missing": "this field is required",
    "extra_forbidden": "this parameter is unknown",
    "string_type": "must be a string",
    "int_type": "must be an integer",
    "int_from_float": "must be an integer",
    "int_parsing_size": "is too large an integer",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "tuple_type": "must be an array",
    "list_type": "must be an array",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "none_required": "must be null",
    "string_unicode": "must be Unicode text",
    "string_pattern_mismatch": lambda context: f"must match the pattern {context['pattern']}",
    "invalid_key": "must have strings as keys",
    "literal_error": lambda context: f"must be {context['expected']}",
    "greater_than": lambda context: f"must be more than {_number(context['gt'])}",
    "greater_than_equal": lambda context: f"must be at least {_number(context['ge'])}",
    "less_than": lambda context: f"must be less than {_number(context['lt'])}",
    "less_than_equal": lambda context: f"must be at most {_number(context['le'])}",
    "string_too_short": lambda context: f"must have at least {_count(context['min_length'], 'character')}",
    "string_too_long": lambda context: f"must have at most {_count(context['max_length'], 'character')}",
    "too_short": lambda context: f"must have at least {_count(context['min_length'], 'item')}",
    "too_long": lambda context: f"must have at most {_count(context['max_length'], 'item')}",
}
"""By pydantic's kind of error. Kinds of our own have words of ours already."""


def words_of(detail: ErrorDetails) -> str:
    """What a client is told of an error; what no kind here speaks of is told in its own words."""
    words = _WORDS.get(detail["type"])
    if words is None:
        return detail["msg"]
    return words if isinstance(words, str) else words(detail.get("ctx", {}))


def _number(bound: object) -> object:
    """A bound as people write it: pydantic makes 2 of a number's field 2.0."""
    return int(bound) if isinstance(bound, float) and bound.is_integer() else bound


def _count(number: object, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
