"""The real openai client against a real engine: every parameter that decides which tokens come, and when they
end.
"""

from typing import Any

import openai
import pytest

from e2e.asking import ask, extras, user
from e2e.conftest import MODEL
from phiserve.chat.encoder import PromptEncoder
from phiserve.core import Conversation, Turn


@pytest.mark.parametrize("options", [{"temperature": 0}, {"top_p": 0}])
def test_greedy_choices_are_alike(client: openai.OpenAI, options: dict[str, Any]) -> None:
    """`n` at temperature 0, or at top_p 0, gives n equal answers, each counted."""
    completion = ask(client, "Hi", n=3, **({"temperature": 1} | options))
    assert [choice.index for choice in completion.choices] == [0, 1, 2]
    assert len({choice.message.content for choice in completion.choices}) == 1
    assert completion.usage is not None
    assert completion.usage.completion_tokens == 3 * 8
    stream = list(
        client.chat.completions.create(
            model=MODEL, messages=user("Hi"), n=3, max_tokens=4, stream=True, **options
        )
    )
    texts = dict.fromkeys(range(3), "")
    for chunk in stream:
        texts[chunk.choices[0].index] += chunk.choices[0].delta.content or ""
    assert len(set(texts.values())) == 1


def test_sampled_choices_differ_and_seeds_repeat(client: openai.OpenAI) -> None:
    """Four sampled choices are not all alike; the same seed gives them again."""
    options: dict[str, Any] = {"n": 4, "temperature": 1, "seed": 11, "max_tokens": 8}
    first, second = (ask(client, "Hi", **options) for _ in range(2))
    texts = [choice.message.content for choice in first.choices]
    assert len(set(texts)) > 1
    assert texts == [choice.message.content for choice in second.choices]
    other = ask(client, "Hi", **(options | {"seed": 12}))
    assert texts != [choice.message.content for choice in other.choices]


def test_a_seed_may_come_with_a_prompt_of_several_steps(client: openai.OpenAI) -> None:
    """A prompt longer than the engine reads at once (2048 tokens) is answered, whatever is drawn from its
    seed meanwhile.
    """
    options: dict[str, Any] = {
        "temperature": 1,
        "seed": 3,
        "max_tokens": 4,
        "extra_body": {"ignore_eos": True},
    }
    completion = ask(client, "seeded " * 1300, **options)
    assert completion.usage is not None
    assert completion.usage.prompt_tokens > 2048
    assert completion.usage.completion_tokens == 4


def test_stop_strings_never_show(client: openai.OpenAI) -> None:
    """The answer ends before the stop string, whole or streamed, and no part of it is shown."""
    options: dict[str, Any] = {"max_tokens": 30, "extra_body": {"ignore_eos": True}}
    text = ask(client, "Hi", **options).choices[0].message.content or ""
    stop = text[len(text) // 2 : len(text) // 2 + 6]
    expected = text[: text.index(stop)]
    stopped = ask(client, "Hi", stop=[stop, "never occurs"], **options).choices[0]
    assert (stopped.message.content, stopped.finish_reason) == (expected, "stop")
    stream = client.chat.completions.create(
        model=MODEL, messages=user("Hi"), temperature=0, stop=stop, stream=True, **options
    )
    shown = ""
    for chunk in stream:
        shown += chunk.choices[0].delta.content or ""
        assert expected.startswith(shown)
    assert shown == expected


def test_logit_bias_and_stop_token_ids(client: openai.OpenAI) -> None:
    """A token pushed to certainty is what is said, until it is made a stop token; a banned one is never
    said.
    """
    token = 15043
    said = ask(
        client, "Hi", logit_bias={str(token): 100}, max_tokens=3, extra_body={"return_token_ids": True}
    )
    assert extras(said)["token_ids"] == [token] * 3
    stopped = ask(
        client,
        "Hi",
        logit_bias={str(token): 100},
        extra_body={"stop_token_ids": [token], "return_token_ids": True},
    )
    assert (stopped.choices[0].finish_reason, stopped.choices[0].message.content) == ("stop", "")


@pytest.mark.parametrize("token", [2, 32000, 32001, 32007])
def test_stops_on_every_end_token(client: openai.OpenAI, token: int) -> None:
    """Each of the model's end tokens ends the answer and is not shown; `ignore_eos` goes on."""
    forced: dict[str, Any] = {"logit_bias": {str(token): 100}, "max_tokens": 5}
    choice = ask(client, "Hi", **forced).choices[0]
    assert (choice.finish_reason, choice.message.content) == ("stop", "")
    on = ask(client, "Hi", **forced, extra_body={"ignore_eos": True})
    assert on.choices[0].finish_reason == "length"
    assert on.usage is not None
    assert on.usage.completion_tokens == 5


def test_other_sampling_parameters_take_effect(client: openai.OpenAI) -> None:
    """top_k 1 and min_p 1 are greedy; min_tokens holds the end back."""
    greedy = ask(client, "Hi", max_tokens=12, extra_body={"return_token_ids": True})
    for extra in ({"top_k": 1}, {"min_p": 1.0}):
        sampled = ask(
            client, "Hi", max_tokens=12, temperature=1, extra_body={"return_token_ids": True} | extra
        )
        assert extras(sampled)["token_ids"] == extras(greedy)["token_ids"]
    pushed = {"logit_bias": {"32007": 100}, "max_tokens": 6}
    assert ask(client, "Hi", **pushed, extra_body={"min_tokens": 4}).usage.completion_tokens == 5  # type: ignore[union-attr]


@pytest.mark.parametrize("penalty", [{"frequency_penalty": 2}, {"repetition_penalty": 50.0}])
def test_penalties_break_repetition(client: openai.OpenAI, penalty: dict[str, float]) -> None:
    """A token favoured by 30 is repeated for ever, until a penalty has eaten that up."""
    favoured: dict[str, Any] = {"logit_bias": {"15043": 30}, "max_tokens": 24}
    plain = ask(client, "Hi", **favoured, extra_body={"return_token_ids": True})
    penalised = ask(client, "Hi", **favoured, extra_body={"return_token_ids": True} | penalty)
    assert set(extras(plain)["token_ids"]) == {15043}
    assert extras(penalised)["token_ids"][0] == 15043
    assert len(set(extras(penalised)["token_ids"])) > 1


def test_presence_penalty_changes_a_close_race(client: openai.OpenAI) -> None:
    """Two tokens share all the probability; where their race is close, the one already said falls behind."""
    changed = []
    for first in range(15_000, 15_010):
        race: dict[str, Any] = {"logit_bias": {str(first): 100, str(first + 100): 100}, "max_tokens": 8}
        ids = [
            extras(
                ask(client, "Hi", **race, presence_penalty=penalty, extra_body={"return_token_ids": True})
            )["token_ids"]
            for penalty in (0, 2)
        ]
        assert ids[0][0] == ids[1][0]
        changed.append(ids[0] != ids[1])
    assert any(changed)


def test_max_tokens_absent_means_the_rest_of_the_context(client: openai.OpenAI) -> None:
    """Without a limit an answer may fill the context, to the token."""
    completion = ask(client, "word " * 4000, max_tokens=None, extra_body={"ignore_eos": True})
    assert completion.usage is not None
    assert completion.usage.total_tokens == 4096
    assert completion.choices[0].finish_reason == "length"


def test_max_tokens_is_an_upper_bound(client: openai.OpenAI) -> None:
    """More than the context leaves is cut."""
    completion = ask(client, "word " * 4000, max_tokens=4096, extra_body={"ignore_eos": True})
    assert completion.usage is not None
    assert completion.usage.total_tokens == 4096
    assert completion.choices[0].finish_reason == "length"


def test_words_and_ids_that_an_answer_is_kept_to(client: openai.OpenAI) -> None:
    """`allowed_token_ids` and `bad_words` have their effect."""
    extra: dict[str, Any] = {"return_token_ids": True, "allowed_token_ids": [15_043, 3_186]}
    allowed = extras(ask(client, "Hi", max_tokens=9, extra_body=extra))["token_ids"]
    assert set(allowed) <= {15_043, 3_186}
    forced: dict[str, Any] = {"logit_bias": {"15043": 100}, "max_tokens": 3}
    words = (ask(client, "Hi", **forced).choices[0].message.content or "").split()
    assert len(words) == 3
    assert len({*words}) == 1
    without = ask(client, "Hi", **forced, extra_body={"bad_words": words[:1], "return_token_ids": True})
    assert 15_043 not in extras(without)["token_ids"]
    with pytest.raises(openai.BadRequestError) as caught:
        ask(client, "Hi", extra_body={"allowed_token_ids": [40_000]})
    assert caught.value.param == "allowed_token_ids"


@pytest.mark.parametrize("echo", [False, True])
def test_an_answer_goes_on_with_the_last_message(
    client: openai.OpenAI, encoder: PromptEncoder, echo: bool
) -> None:
    """The prompt ends in the open turn; what is added begins with its own space, behind the text or alone."""
    [word] = encoder.encode_text("time")
    messages: list[Any] = [*user("Hi"), {"role": "assistant", "content": "Once upon a"}]
    completion = client.chat.completions.create(
        model=MODEL,
        messages=messages,
        max_tokens=2,
        logit_bias={str(word): 100},
        extra_body={
            "continue_final_message": True,
            "add_generation_prompt": False,
            "echo": echo,
            "return_token_ids": True,
        },
    )
    turns = (Turn("user", ("Hi",)), Turn("assistant", ("Once upon a",)))
    expected = encoder.encode(Conversation(turns, is_open=True)).ids([])
    assert (completion.model_extra or {})["prompt_token_ids"] == expected
    [choice] = completion.choices
    assert choice.message.content == ("Once upon a time time" if echo else " time time")
    assert choice.finish_reason == "length"
