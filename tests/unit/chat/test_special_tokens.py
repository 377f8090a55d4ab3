"""The tables of control tokens are the model's own."""

from pathlib import Path

from tokenizers import Tokenizer

from phiserve.chat.special_tokens import ADDED_TOKENS, ORDINARY_TOKENS, STOP_TOKEN_IDS, STRIPS_RIGHT, Control


def test_tables(reference: Path) -> None:
    """Ids, spellings and stripping as tokenizer.json has them."""
    theirs = Tokenizer.from_file(str(reference / "tokenizer.json")).get_added_tokens_decoder()
    assert {token_id: token.content for token_id, token in theirs.items()} == ADDED_TOKENS
    assert {token_id for token_id, token in theirs.items() if token.rstrip} == STRIPS_RIGHT


def test_control_ids_are_not_ordinary() -> None:
    """Every control id is an added token outside the ordinary tokens."""
    assert all(
        control in ADDED_TOKENS and (control <= 2 or control >= ORDINARY_TOKENS) for control in Control
    )
    assert [*STOP_TOKEN_IDS] == [2, 32000, 32001, 32007]
