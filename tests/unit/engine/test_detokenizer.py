"""Text piece by piece is vLLM's, whatever tokens come."""

import random
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from vllm import SamplingParams
from vllm.sampling_params import RequestOutputKind
from vllm.v1.engine import EngineCoreRequest
from vllm.v1.engine.detokenizer import BaseIncrementalDetokenizer, FastIncrementalDetokenizer

from phiserve.chat.special_tokens import ADDED_TOKENS, Control
from phiserve.engine.detokenizer import TableDetokenizer, Texts, texts_of
from phiserve.plugin.tokenizer import Phi3VTokenizer

ASSISTANT_TURN = [Control.ASSISTANT, 13]
"""What prompts of chats end with; 13 is a newline, one byte."""


@pytest.fixture(scope="module")
def tokenizer(tokenizer_json: Path) -> Any:
    """As vLLM has it."""
    return Phi3VTokenizer.from_pretrained(str(tokenizer_json.parent))


@pytest.fixture(scope="module")
def texts(tokenizer: Any) -> Texts:
    return texts_of(tokenizer.backend_tokenizer)


def request(
    prompt: Sequence[int] = (*ASSISTANT_TURN,), stop: Sequence[str] = (), *, streamed: bool = True
) -> EngineCoreRequest:
    """A request whose answer is told as it comes, or at its end."""
    kind = RequestOutputKind.DELTA if streamed else RequestOutputKind.FINAL_ONLY
    params = SamplingParams(stop=list(stop), output_kind=kind)
    return EngineCoreRequest("r", [*prompt], None, params, None, 0.0, None, None, None)


def spelled(tokenizer: Any, raw: bytes) -> list[int]:
    """Bytes as the tokens that stand for one byte each."""
    return [tokenizer.token_to_id(f"<0x{byte:02X}>") for byte in raw]


def drawn(rng: random.Random, tokenizer: Any, texts: Texts, count: int) -> list[int]:
    """Tokens of all kinds: ordinary and control tokens, spaces, bytes, characters as bytes, whole and cut."""
    ids: list[int] = []
    odd = [token_id for token_id in range(32_064) if token_id not in texts]
    while len(ids) < count:
        raw = rng.choice("日🙂éa\n \N{REPLACEMENT CHARACTER}").encode()
        ids += rng.choice(
            [
                [rng.randrange(32_000)],
                [tokenizer.token_to_id("\u2581")],
                [rng.choice(odd)],
                [rng.choice([*ADDED_TOKENS])],
                spelled(tokenizer, rng.randbytes(1)),
                spelled(tokenizer, raw),
                spelled(tokenizer, raw[: rng.randint(1, len(raw))]),
            ]
        )
    return ids


def told(
    detokenizer: BaseIncrementalDetokenizer, steps: Sequence[list[int]], *, stopped: bool, streamed: bool
) -> tuple[list[tuple[str | None, str]], list[int]]:
    """All that is told of an answer: at each step the stop string, if any, and the text; and the tokens."""
    said = []
    for number, ids in enumerate(steps):
        is_last = number == len(steps) - 1
        stop = detokenizer.update([*ids], is_last and stopped)
        said.append((stop, detokenizer.get_next_output_text(is_last or stop is not None, streamed)))
        if stop is not None:
            break
    return said, detokenizer.output_token_ids


@pytest.mark.parametrize("seed", range(8))
def test_text_is_vllms(seed: int, tokenizer: Any, texts: Texts) -> None:
    """At every step: after any prompt, with and without stop strings, one token or several at once."""
    rng = random.Random(seed)
    for _ in range(400):
        prompt = drawn(rng, tokenizer.backend_tokenizer, texts, rng.randint(0, 6)) + rng.choice(
            [[], ASSISTANT_TURN]
        )
        if tokenizer.decode(prompt, skip_special_tokens=True).endswith("\N{REPLACEMENT CHARACTER}"):
            continue  # vLLM would repeat the whole prompt
        stop = rng.choice([(), (), ("a",), ("\n", "日 ")])
        streamed, stopped = rng.random() < 0.7, rng.random() < 0.5
        ids = drawn(rng, tokenizer.backend_tokenizer, texts, rng.randint(1, 12))
        cuts = sorted({0, len(ids), *(at for at in range(len(ids)) if rng.random() < 0.8)})
        steps = [ids[start:end] for start, end in pairwise(cuts)]
        asked = request(prompt, stop, streamed=streamed)
        theirs = told(FastIncrementalDetokenizer(tokenizer, asked), steps, stopped=stopped, streamed=streamed)
        ours = told(TableDetokenizer(tokenizer, asked, texts), steps, stopped=stopped, streamed=streamed)
        assert ours == theirs, (prompt, steps, stop)


def test_the_table_is_what_decoding_adds(tokenizer: Any, texts: Texts) -> None:
    """For each of its tokens; it leaves out control tokens, parts of characters and U+FFFD itself."""
    before = tokenizer.backend_tokenizer.token_to_id("x")
    wrong = [i for i, text in texts.items() if tokenizer.backend_tokenizer.decode([before, i]) != f"x{text}"]
    assert wrong == []
    left_out = {i for i in range(32_000) if i not in texts} - {*ADDED_TOKENS}
    assert len(left_out) == 128 + 1


def test_characters_come_whole(tokenizer: Any, texts: Texts) -> None:
    """Where they come as bytes, with their last one; control tokens are no text."""
    detokenizer = TableDetokenizer(tokenizer, request(), texts)
    smile = spelled(tokenizer.backend_tokenizer, "🙂".encode())
    ids = [tokenizer.backend_tokenizer.token_to_id("\u2581a"), *smile, Control.ENDOFTEXT, 13]
    said, kept = told(detokenizer, [[i] for i in ids], stopped=False, streamed=True)
    assert [text for _, text in said] == [" a", "", "", "", "🙂", "", "\n"]
    assert kept == ids


def test_told_text_is_not_kept(tokenizer: Any, texts: Texts) -> None:
    """Each token of a long stream would copy it all; stop strings are looked for in what was told."""
    letter = tokenizer.backend_tokenizer.token_to_id("x")
    for stop, kept in ((), ""), (("y",), "xx"):
        detokenizer = TableDetokenizer(tokenizer, request(stop=stop), texts)
        told(detokenizer, [[letter], [letter]], stopped=False, streamed=True)
        assert detokenizer.output_text == kept
