"""`phiserve tokenizer` writes what transformers loads."""

from pathlib import Path

from transformers import AutoTokenizer
from typer.testing import CliRunner

from phiserve.chat.encoder import PromptEncoder
from phiserve.cli.main import app


def test_a_folder_for_tools(checkpoint: Path, tmp_path: Path) -> None:
    """Of a checkpoint that is named; it gives the server's ids."""
    folder = tmp_path / "new" / "tokenizer"
    result = CliRunner().invoke(app, ["tokenizer", str(folder), "--model", str(checkpoint)])
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in folder.iterdir()) == ["tokenizer.json", "tokenizer_config.json"]
    loaded = AutoTokenizer.from_pretrained(folder)
    text = "What is in this image?"
    ids = PromptEncoder.load(checkpoint / "tokenizer.json").encode_text(text)
    assert loaded(text, add_special_tokens=False)["input_ids"] == ids


def test_a_checkpoint_that_is_none(tmp_path: Path) -> None:
    """Is told in one sentence, and nothing is written."""
    result = CliRunner().invoke(app, ["tokenizer", str(tmp_path / "out"), "--model", str(tmp_path)])
    assert result.exit_code == 1
    assert "is not a Phi-3-vision checkpoint" in result.stderr
    assert not (tmp_path / "out").exists()
