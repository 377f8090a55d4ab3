"""Token bytes add up to text."""

import pytest
from tokenizers import Tokenizer

from phiserve.chat.encoder import PromptEncoder
from phiserve.chat.vocabulary import Vocabulary


@pytest.mark.parametrize("text", ["Hello world", "日本語 żółć 🙂👩‍👩‍👧", "tab\tnew\nline"])
def test_bytes_add_up(encoder: PromptEncoder, vocabulary: Vocabulary, text: str) -> None:
    """The pieces of a text, byte pieces included, concatenate to its UTF-8 with the prefix space."""
    ids = encoder.encode_text(text)
    assert b"".join(map(vocabulary.bytes_of, ids)) == b" " + text.encode()


def test_control_and_unused_ids(vocabulary: Vocabulary) -> None:
    """Control tokens are spelled out; ids without a token have no bytes."""
    assert vocabulary.bytes_of(32007) == b"<|end|>"
    assert vocabulary.bytes_of(32050) == b""


def test_same_added_tokens_as_the_tokenizer(tokenizer_json: object, vocabulary: Vocabulary) -> None:
    """The table of added tokens is the one in tokenizer.json."""
    full = Tokenizer.from_file(str(tokenizer_json))
    for token_id, token in full.get_added_tokens_decoder().items():
        assert vocabulary.bytes_of(token_id) == token.content.encode()


def test_text_of_ids(encoder: PromptEncoder, vocabulary: Vocabulary) -> None:
    """As decoding gives it: without control tokens and the first prefix space."""
    assert vocabulary.text_of([1, *encoder.encode_text("Hello wörld"), 32007]) == "Hello wörld"
    assert vocabulary.text_of([1]) == ""
