"""The tokenizer as other programs load it gives the server's own ids."""

from pathlib import Path

import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from phiserve.chat.encoder import PromptEncoder
from phiserve.checkpoint.tokenizer_repository import TokenizerRepository
from phiserve.core import Conversation, Role, Turn

TEXTS = ["Hi there", " two  spaces", "a\n b", "é\u4e2d", "<|user|>\n What?<|end|>\n <|assistant|> x </s> y"]


@pytest.fixture
def folder(tokenizer: TokenizerRepository, tmp_path: Path) -> Path:
    """The files in a folder."""
    tokenizer.write(tmp_path)
    return tmp_path


def load(folder: Path) -> PreTrainedTokenizerFast:
    """What transformers makes of a folder."""
    loaded = AutoTokenizer.from_pretrained(folder)
    assert isinstance(loaded, PreTrainedTokenizerFast)
    return loaded


@pytest.mark.parametrize("text", TEXTS)
def test_the_ids_are_those_of_tokenizer_json(folder: Path, text: str) -> None:
    """White space after control tokens included, which other classes of transformers lose."""
    loaded = load(folder)
    assert loaded(text)["input_ids"] == loaded.backend_tokenizer.encode(text).ids


def test_the_real_model_s_configuration_does_not_come_in(reference: Path, tmp_path: Path) -> None:
    """Its tokenizer.json does, as it is."""
    repository = TokenizerRepository.of(reference / "tokenizer.json")
    assert repository.files["tokenizer.json"] == (reference / "tokenizer.json").read_bytes()
    assert b"LlamaTokenizer" not in repository.files["tokenizer_config.json"]


def test_a_conversation_is_written_as_the_server_does(folder: Path, encoder: PromptEncoder) -> None:
    """The ids that the chat template gives are the prompt's."""
    turns: tuple[tuple[Role, str], ...] = (
        ("system", "Be brief."),
        ("user", "Hi"),
        ("assistant", "Hello."),
        ("user", "A red circle?"),
    )
    messages = [{"role": role, "content": text} for role, text in turns]
    written = load(folder).apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
    prompt = encoder.encode(Conversation(tuple(Turn(role, (text,)) for role, text in turns)))
    assert written == prompt.ids([])


def test_another_tokenizer_is_another_commit(tokenizer: TokenizerRepository, tmp_path: Path) -> None:
    """Forty hexadecimal digits, by which clients know what they have."""
    other = tmp_path / "tokenizer.json"
    other.write_bytes(tokenizer.files["tokenizer.json"] + b"\n")
    assert TokenizerRepository.of(other).commit != tokenizer.commit
    assert len(bytes.fromhex(tokenizer.commit)) == 20
