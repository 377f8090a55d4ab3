"""The real openai client completes prompts on a real engine."""

from typing import Any

import openai
import pytest

from e2e.conftest import MODEL
from phiserve.chat.encoder import PromptEncoder
from phiserve.chat.special_tokens import Control


def complete(client: openai.OpenAI, prompt: Any = "Once upon", **options: Any) -> openai.types.Completion:
    """A greedy completion that goes on to its limit."""
    extra = {"ignore_eos": True, "return_token_ids": True} | options.pop("extra_body", {})
    completion = client.completions.create(
        model=MODEL, prompt=prompt, extra_body=extra, **({"temperature": 0, "max_tokens": 4} | options)
    )
    assert isinstance(completion, openai.types.Completion)
    return completion


def said(choice: openai.types.CompletionChoice, field: str) -> list[int]:
    """Ids that vLLM's extra fields tell of a choice."""
    ids: list[int] = (choice.model_extra or {})[field]
    return ids


def test_text_goes_on_from_the_prompt(client: openai.OpenAI, encoder: PromptEncoder) -> None:
    """The prompt is `<s>` and its tokens; what is added begins with its own space, where it has one."""
    [word] = encoder.encode_text("time")
    for prompt in ("Once upon", [Control.BOS, *encoder.encode_text("Once upon")], [Control.BOS]):
        completion = complete(client, prompt, logit_bias={str(word): 100}, max_tokens=2, logprobs=1)
        [choice] = completion.choices
        begins = "" if prompt == [Control.BOS] else " "  # a text of its own, which begins without the space
        assert choice.text == f"{begins}time time"
        assert choice.finish_reason == "length"
        assert said(choice, "token_ids") == [word, word]
        assert said(choice, "prompt_token_ids")[0] == Control.BOS
        assert choice.logprobs is not None
        assert choice.logprobs.tokens == [f"{begins}time", " time"]
        assert choice.logprobs.text_offset == [0, len(begins) + 4]
        assert completion.usage is not None
        assert completion.usage.completion_tokens == 2


def test_stream_equals_completion(client: openai.OpenAI) -> None:
    """The same request streamed and whole: text, ids, log-probabilities, usage."""
    options: dict[str, Any] = {"max_tokens": 12, "logprobs": 3, "temperature": 0}
    whole = complete(client, **options)
    stream = client.completions.create(
        model=MODEL,
        prompt="Once upon",
        stream=True,
        stream_options={"include_usage": True},
        extra_body={"ignore_eos": True, "return_token_ids": True},
        **options,
    )
    *chunks, last = list(stream)
    parts = [chunk.choices[0] for chunk in chunks]
    [choice] = whole.choices
    assert "".join(part.text for part in parts) == choice.text
    assert [token for part in parts for token in said(part, "token_ids")] == said(choice, "token_ids")
    assert choice.logprobs is not None
    for name in ("tokens", "token_logprobs", "top_logprobs", "text_offset"):
        streamed = [item for part in parts if part.logprobs for item in getattr(part.logprobs, name)]
        assert streamed == getattr(choice.logprobs, name)
    assert len(choice.logprobs.tokens or ()) == 12
    assert all(len(top) in (3, 4) for top in choice.logprobs.top_logprobs or ())
    assert last.usage == whole.usage


def test_several_prompts(client: openai.OpenAI, encoder: PromptEncoder) -> None:
    """Each is answered n times, in order, and counted once."""
    prompts = ["Once upon", "One, two, three,", "Red"]
    completion = complete(client, prompts, n=2)
    assert [choice.index for choice in completion.choices] == list(range(6))
    expected = [[Control.BOS, *encoder.encode_text(prompt)] for prompt in prompts for _ in range(2)]
    assert [said(choice, "prompt_token_ids") for choice in completion.choices] == expected
    assert completion.usage is not None
    assert completion.usage.prompt_tokens == sum(map(len, expected[::2]))
    assert completion.usage.completion_tokens == 6 * 4


def test_the_form_of_an_answer(client: openai.OpenAI) -> None:
    """A constraint's text is given as it is."""
    choice = complete(
        client,
        "A colour:",
        max_tokens=20,
        extra_body={"structured_outputs": {"choice": [" red", " green"]}, "ignore_eos": False},
    ).choices[0]
    assert choice.text in (" red", " green")


def test_ids_of_control_tokens(client: openai.OpenAI) -> None:
    """Are refused at their place."""
    with pytest.raises(openai.BadRequestError) as caught:
        complete(client, [[5], [5, Control.END]])
    assert caught.value.param == "prompt[1][1]"


def test_an_echo_comes_first(client: openai.OpenAI, encoder: PromptEncoder) -> None:
    """The prompt's text, of ids as well; without `<s>` where it is not wanted."""
    [word] = encoder.encode_text("time")
    ids = encoder.encode_text("Once upon")
    for prompt in ("Once upon", [Control.BOS, *ids]):
        echoed = complete(client, prompt, echo=True, logit_bias={str(word): 100}, max_tokens=1)
        assert echoed.choices[0].text == "Once upon time"
    bare = complete(client, extra_body={"add_special_tokens": False})
    assert said(bare.choices[0], "prompt_token_ids") == ids
