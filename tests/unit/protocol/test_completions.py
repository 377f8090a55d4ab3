"""The body of a request for completions, and what becomes of it."""

import json
from pathlib import Path
from typing import Any

import pytest

from phiserve.core import GenerationRequest, RawPrompt, SamplingOptions, StopConditions
from phiserve.errors import InvalidRequest
from phiserve.protocol.compatibility import COMPLETIONS_FIELDS
from phiserve.protocol.completions import MAX_PROMPTS, CompletionRequest, to_generation_requests
from phiserve.protocol.parsing import parse_request


def parse(**fields: Any) -> CompletionRequest:
    """A request with these fields."""
    return parse_request(json.dumps({"model": "m", "prompt": "Hi"} | fields).encode(), CompletionRequest)


def translated(**fields: Any) -> list[GenerationRequest]:
    """The inner requests of a request with these fields."""
    return to_generation_requests(parse(**fields), "cmpl-x", allow_control_ids=False)


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("a", [RawPrompt("a", "prompt")]),
        (["a", "b"], [RawPrompt("a", "prompt[0]"), RawPrompt("b", "prompt[1]")]),
        ([5, 6], [RawPrompt((5, 6), "prompt")]),
        ([[5], [6, 7]], [RawPrompt((5,), "prompt[0]"), RawPrompt((6, 7), "prompt[1]")]),
        (["a"] * MAX_PROMPTS, [RawPrompt("a", f"prompt[{index}]") for index in range(MAX_PROMPTS)]),
    ],
)
def test_forms_of_prompts(prompt: object, expected: list[RawPrompt]) -> None:
    """OpenAI's four; each prompt knows its place."""
    assert [inner.conversation for inner in translated(prompt=prompt)] == expected


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"prompt": None}, "prompt", "invalid_type"),
        ({"prompt": 3}, "prompt", "invalid_type"),
        ({"prompt": ""}, "prompt", "invalid_value"),
        ({"prompt": []}, "prompt", "invalid_value"),
        ({"prompt": ["a", ""]}, "prompt[1]", "invalid_value"),
        ({"prompt": [[5], []]}, "prompt[1]", "invalid_value"),
        ({"prompt": ["a", [5]]}, "prompt[1]", "invalid_type"),
        ({"prompt": [5, "a"]}, "prompt[1]", "invalid_type"),
        ({"prompt": [5.5]}, "prompt[0]", "invalid_type"),
        ({"prompt": [[5], [6, True]]}, "prompt[1][1]", "invalid_type"),
        ({"prompt": ["a"] * (MAX_PROMPTS + 1)}, "prompt", "invalid_value"),
        ({"prompt": [5, -1]}, "prompt[1]", "invalid_value"),
        ({"prompt": [5, 10**30]}, "prompt[1]", "invalid_value"),
        ({"echo": True, "logprobs": 0}, "echo", "invalid_value"),
        ({"suffix": "."}, "suffix", "unsupported_parameter"),
        ({"echo": 0}, "echo", "invalid_type"),
        ({"truncate_prompt_tokens": 5}, "truncate_prompt_tokens", "unsupported_parameter"),
        ({"prompt_logprobs": 1}, "prompt_logprobs", "unsupported_parameter"),
        ({"best_of": 3, "n": 2}, "best_of", "unsupported_parameter"),
        ({"logprobs": 6}, "logprobs", "invalid_value"),
        ({"logprobs": True}, "logprobs", "invalid_type"),
        ({"max_tokens": 0}, "max_tokens", "invalid_value"),
        ({"messages": []}, "messages", "unknown_parameter"),
        ({"stream_options": {}}, "stream_options", "invalid_value"),
    ],
)
def test_what_is_refused(fields: dict[str, Any], param: str, code: str) -> None:
    """With the path of the value at fault."""
    with pytest.raises(InvalidRequest) as caught:
        translated(**fields)
    assert (caught.value.param, caught.value.code) == (param, code)


def test_lone_surrogates_are_refused() -> None:
    """Half a surrogate pair, which JSON can spell, is an error that names the prompt."""
    wire = CompletionRequest.model_validate({"prompt": ["a", "b\ud800"]})
    with pytest.raises(InvalidRequest) as caught:
        to_generation_requests(wire, "cmpl-x", allow_control_ids=False)
    assert caught.value.param == "prompt[1]"


def test_refusals_say_why() -> None:
    """Their words are part of the interface."""
    with pytest.raises(InvalidRequest) as caught:
        parse(prompt_logprobs=0)
    assert caught.value.message == (
        "prompt_logprobs: this parameter is not supported: log-probabilities are of answers alone"
    )


def test_values_that_ask_for_nothing_pass() -> None:
    """Clients write defaults out."""
    nothing = parse(echo=False, suffix="", best_of=1, n=1, stream=False, user="u", logprobs=None, stop=None)
    assert (nothing.echo, nothing.suffix) == (False, None)
    vllm = parse(add_special_tokens=True, use_beam_search=False, length_penalty=1.0, skip_special_tokens=True)
    assert vllm.use_beam_search is None
    assert parse(echo=None, suffix=None, best_of=None).prompt == nothing.prompt


def test_defaults_are_openai_s() -> None:
    """Sixteen tokens, for null too; no log-probabilities."""
    for fields in ({}, {"max_tokens": None, "temperature": None, "logprobs": None}):
        [inner] = translated(**fields)
        assert (inner.sampling, inner.stops) == (SamplingOptions(), StopConditions(16))
        assert (inner.top_logprobs, inner.num_choices, inner.stream) == (None, 1, False)


def test_every_option_is_carried() -> None:
    """To each prompt's request, which differ in id and prompt alone."""
    first, second = to_generation_requests(
        parse(
            prompt=["a", "b"], max_tokens=9, temperature=0.5, n=2, best_of=2, logprobs=0, stream=True, seed=3,
            stop="x", priority=1, structured_outputs={"choice": ["a"]},
        ),
        "cmpl-x",
        allow_control_ids=False,
        tenant="alice",
        cache_salt="salt",
        deadline_s=4.0,
    )  # fmt: skip
    assert (first.sampling, first.stops) == (
        SamplingOptions(temperature=0.5, seed=3), StopConditions(9, strings=("x",)),
    )  # fmt: skip
    assert (first.top_logprobs, first.num_choices, first.stream, first.priority) == (0, 2, True, 1)
    assert (first.tenant, first.cache_salt, first.deadline_s) == ("alice", "salt", 4.0)
    assert first.constraint is not None
    assert (first.id, second.id) == ("cmpl-x-0", "cmpl-x-1")
    shared = ("sampling", "stops", "constraint", "num_choices", "tenant", "cache_salt", "deadline_s")
    assert all(getattr(first, name) == getattr(second, name) for name in shared)


def test_a_text_s_beginning_and_its_echo() -> None:
    """`<s>` unless it is not wanted; the prompt's text before the answer's where it is."""
    [plain] = translated()
    assert isinstance(plain.conversation, RawPrompt)
    assert (plain.conversation.with_bos, plain.echo) == (True, False)
    [bare] = translated(add_special_tokens=False, echo=True)
    assert isinstance(bare.conversation, RawPrompt)
    assert (bare.conversation.with_bos, bare.echo) == (False, True)


def test_every_field_has_an_entry(reference: Path) -> None:
    """OpenAI's specification and vLLM's class are walked: a new field fails here until somebody decides."""
    from vllm.entrypoints.openai.completion.protocol import CompletionRequest as TheirRequest

    schemas = json.loads((reference / "openai" / "openapi.json").read_text())["components"]["schemas"]
    theirs = schemas["CreateCompletionRequest"]["properties"].keys() | TheirRequest.model_fields.keys()
    assert theirs == COMPLETIONS_FIELDS.keys() == CompletionRequest.model_fields.keys()


def test_vllms_defaults_pass() -> None:
    """Clients that write out every default of vLLM's ask for nothing that is refused."""
    from vllm.entrypoints.openai.completion.protocol import CompletionRequest as TheirRequest

    fields = {name: field for name, field in TheirRequest.model_fields.items() if not field.is_required()}
    defaults = {name: field.default for name, field in fields.items() if field.default_factory is None}
    for name, value in defaults.items():
        if name != "prompt":
            parse(**{name: value})
    assert len(defaults) > 40


def test_the_document_says_what_passes() -> None:
    """The JSON schema of a refused field lists its allowed values; that of a served one is its type."""
    properties = CompletionRequest.model_json_schema()["properties"]
    assert properties["suffix"] == {
        "enum": [None, ""],
        "description": "Not supported: the model was not trained to fill gaps",
    }
    assert "enum" not in properties["add_special_tokens"]


@pytest.mark.parametrize("prompt", [[7] * 131_072, [[7] * 2000] * MAX_PROMPTS])
def test_prompts_of_very_many_ids(prompt: list[Any]) -> None:
    """One of the longest context there is, and as many of usual length as a request may have."""
    assert sum(len(one.content) for one in parse(prompt=prompt).prompt) > 120_000


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"prompt": [7] * 1_000_001}, "The body holds more than 1000000 JSON values"),
        ({"stop_token_ids": [7] * 100_001}, "The body holds more than 100000 JSON values beside prompt"),
        ({"prompt": [[]] * 60_000}, "prompt: 60000 prompts; a request has at most 64"),
    ],
)
def test_bodies_of_very_many_values(fields: dict[str, Any], message: str) -> None:
    """There is a limit for ids too, and the one of all routes for what stands beside them."""
    with pytest.raises(InvalidRequest) as caught:
        parse(**fields)
    assert caught.value.message == message
