"""Fields that several routes share."""

from typing import Any

import pytest
from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from phiserve.core import SamplingOptions, StopConditions
from phiserve.protocol.sampling import SamplingFields


class Fields(SamplingFields):
    """The shared fields alone, with an answer of ten tokens at most."""

    @property
    def output_limit(self) -> int | None:
        """Ten."""
        return 10


def parse(**fields: Any) -> Fields:
    """A request with these fields."""
    return Fields.model_validate({"model": "m", **fields})


def test_what_is_not_stated_is_the_default() -> None:
    """Absent and null alike."""
    nothing = parse(
        temperature=None, top_p=None, top_k=None, min_p=None, repetition_penalty=None, n=None, logit_bias=None
    )
    assert nothing.sampling == parse().sampling == SamplingOptions()
    assert nothing.num_choices == 1


def test_every_sampling_field_has_its_effect() -> None:
    """Each under its own name."""
    stated = SamplingOptions(0.5, 0.6, 7, 0.08, 9, 0.1, 0.2, 1.3, {4: 5.0}, (4, 9), ("a b",))
    fields = {name: getattr(stated, name) for name in SamplingOptions.__slots__ if name != "logit_bias"}
    assert parse(**fields, logit_bias={"4": 5}).sampling == stated


def test_null_asks_for_nothing() -> None:
    """Of vLLM's fields too."""
    names = ("ignore_eos", "min_tokens", "stop_token_ids", "allowed_token_ids", "bad_words", "cache_salt")
    nulls = parse(**dict.fromkeys(names), return_token_ids=None, priority=None)
    assert (nulls.stops, nulls.sampling, nulls.return_token_ids) == (parse().stops, SamplingOptions(), False)
    options = parse(stream=True, stream_options={"include_usage": None, "continuous_usage_stats": None})
    assert not options.include_usage
    assert not options.continuous_usage


@pytest.mark.parametrize(
    "fields",
    [
        *({"bad_words": [""]}, {"bad_words": [" "]}, {"bad_words": ["a"] * 65}, {"bad_words": ["a" * 101]}),
        *({"allowed_token_ids": []}, {"allowed_token_ids": [-1]}, {"allowed_token_ids": [1] * 32_065}),
        *({"cache_salt": ""}, {"cache_salt": "a" * 1025}),
    ],
)
def test_bounds_of_vllms_fields(fields: dict[str, Any]) -> None:
    """What the engine would refuse late, or what would be held for long."""
    with pytest.raises(ValidationError):
        parse(**fields)


def test_no_priority_comes_before_others() -> None:
    """Above zero it is batch work; below, it is bounded by what everybody has."""
    assert [parse(priority=value).is_batch for value in (None, -5, 0, 1)] == [False, False, False, True]


def test_a_salt_holds_within_its_owners() -> None:
    """It replaces none: equal salts of two owners differ, and no salt is another owner's own."""
    asked = parse(cache_salt="s")
    salts = [asked.salt(owner) for owner in (None, "a", "b", "s")]
    assert len({*salts, "s", "a", "b"}) == 7
    assert asked.salt("a") == parse(cache_salt="s").salt("a") != parse(cache_salt="t").salt("a")
    assert [parse().salt(owner) for owner in (None, "a")] == [None, "a"]


def test_when_an_answer_ends() -> None:
    """The request's own limit is among the conditions."""
    fields = parse(min_tokens=2, stop="x", stop_token_ids=[3], ignore_eos=True)
    assert fields.stops == StopConditions(10, 2, ("x",), (3,), ignore_eos=True)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        (
            {"response_format": {"type": "text"}, "structured_outputs": {"regex": "a"}},
            "structured_outputs",
        ),
        ({"min_tokens": 11}, "min_tokens"),
        ({"allowed_token_ids": [1], "structured_outputs": {"regex": "a"}}, "allowed_token_ids"),
        ({"bad_words": ["a"], "response_format": {"type": "json_object"}}, "bad_words"),
    ],
)
def test_fields_that_contradict_each_other(fields: dict[str, Any], named: str) -> None:
    """The error names the one at fault; a route checks when all its fields are known."""
    request = parse(**fields)
    with pytest.raises(PydanticCustomError) as raised:
        request.check_agreement()
    assert (raised.value.context or {})["field"] == named


def test_keys_of_a_bias_are_token_ids() -> None:
    """Anything else is an error."""
    with pytest.raises(ValidationError, match="keys must be token ids"):
        parse(logit_bias={"x": 1})
