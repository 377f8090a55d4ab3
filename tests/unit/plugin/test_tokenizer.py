"""The tokenizer vLLM decodes with: the exact file, and text that never splits a character nor shows a stop
string.
"""

from pathlib import Path
from types import SimpleNamespace

import pytest
from vllm import SamplingParams
from vllm.v1.engine.detokenizer import FastIncrementalDetokenizer, IncrementalDetokenizer

from phiserve.chat.encoder import PromptEncoder
from phiserve.core import Conversation, Turn
from phiserve.plugin.tokenizer import Phi3VTokenizer


@pytest.fixture(scope="module")
def tokenizer(tokenizer_json: Path) -> Phi3VTokenizer:
    return Phi3VTokenizer.from_pretrained(str(tokenizer_json.parent))


def shown(
    tokenizer: Phi3VTokenizer, encoder: PromptEncoder, text: str, stop: list[str]
) -> tuple[list[str], str | None]:
    """What vLLM shows after each token of an answer, and the stop string it found."""
    prompt_ids = encoder.encode(Conversation((Turn("user", ("Hi",)),))).ids([])
    params = SamplingParams(stop=stop, max_tokens=1000)
    request = SimpleNamespace(
        sampling_params=params, request_id="r", prompt_token_ids=prompt_ids, prompt_embeds=None
    )
    detokenizer = IncrementalDetokenizer.from_new_request(tokenizer, request)
    assert isinstance(detokenizer, FastIncrementalDetokenizer)
    texts = []
    for token in encoder.encode_text(text):
        found = detokenizer.update([token], stop_terminated=False)
        texts.append(detokenizer.get_next_output_text(finished=found is not None, delta=True))
        if found is not None:
            return texts, found
    texts.append(detokenizer.get_next_output_text(finished=True, delta=True))
    return texts, None


def test_control_tokens_keep_their_neighbours(tokenizer: Phi3VTokenizer, encoder: PromptEncoder) -> None:
    """`<|user|>` does not swallow the newline after it, as rebuilt tokenizers make it do."""
    newline = encoder.encode_text("\n")
    assert tokenizer.encode("<|user|>\n", add_special_tokens=False) == [32010, *newline]
    assert len(newline) == 2


def test_reference_tokenizer(reference: Path) -> None:
    """The same with the model's own file."""
    tokenizer = Phi3VTokenizer.from_pretrained(str(reference))
    assert tokenizer.encode("<|user|>\n", add_special_tokens=False) == [32010, 29871, 13]
    assert tokenizer.eos_token_id == 32000


@pytest.mark.parametrize("text", ["a 🙂 b", "日本語", "żółć 👩‍👩‍👧‍👦", "ᚠᛇᚻ"])
def test_characters_are_never_split(tokenizer: Phi3VTokenizer, encoder: PromptEncoder, text: str) -> None:
    """Characters of several byte tokens appear whole, once their last byte has come."""
    texts, _ = shown(tokenizer, encoder, text, [])
    assert "".join(texts) == f" {text}"
    assert not any("\ufffd" in part for part in texts)


def test_stop_strings_are_held_back(tokenizer: Phi3VTokenizer, encoder: PromptEncoder) -> None:
    """Text that may be the start of a stop string is not shown until it turns out not to be one."""
    texts, found = shown(tokenizer, encoder, "one STO two STOP three", ["STOP"])
    assert ("".join(texts), found) == (" one STO two ", "STOP")
