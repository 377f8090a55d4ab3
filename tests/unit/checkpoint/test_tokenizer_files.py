"""The assembled tokenizer is SentencePiece's, with Phi-3's control tokens."""

from pathlib import Path

import mistral_common
from hypothesis import given
from hypothesis import strategies as st
from sentencepiece import SentencePieceProcessor
from tokenizers import Tokenizer

MODEL = SentencePieceProcessor(str(Path(mistral_common.__path__[0]) / "data" / "tokenizer.model.v1"))
texts = st.integers(300, 31_999).map(MODEL.id_to_piece).map(lambda token: token.replace("\u2581", " "))


@given(st.lists(texts, min_size=1, max_size=30).map("".join))
def test_same_ids_as_sentencepiece(tokenizer_json: Path, text: str) -> None:
    """Joins of the texts of arbitrary tokens encode as the library they come from encodes them."""
    tokenizer = Tokenizer.from_file(str(tokenizer_json))
    assert tokenizer.encode(text, add_special_tokens=False).ids == MODEL.encode(text)


def test_added_tokens(tokenizer_json: Path, reference: Path) -> None:
    """Ids, spelling and flags of the added tokens are those of the model's own tokenizer.json."""
    ours = Tokenizer.from_file(str(tokenizer_json)).get_added_tokens_decoder()
    theirs = Tokenizer.from_file(str(reference / "tokenizer.json")).get_added_tokens_decoder()
    assert {k: repr(v) for k, v in ours.items()} == {k: repr(v) for k, v in theirs.items()}
