"""Labels are single tokens right after the answer's turn begins."""

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, normalizers

from phiserve.chat.encoder import PromptEncoder
from phiserve.chat.special_tokens import Control
from phiserve.core import Conversation, Turn
from phiserve.decisions.labels import CANDIDATES, MAX_OPTIONS, Labels, LabelsUnusable
from phiserve.decisions.questions import Option, Question


def test_as_many_as_there_may_be_options(encoder: PromptEncoder) -> None:
    """All different."""
    labels = Labels.load(encoder)
    assert len({*labels.texts}) == len({*labels.ids}) == MAX_OPTIONS


def test_the_model_would_write_these_tokens(encoder: PromptEncoder) -> None:
    """An answer that is the label is encoded as this token, after the role's."""
    labels = Labels.load(encoder)
    for label, token_id in zip(labels.texts, labels.ids, strict=True):
        prompt = encoder.encode(Conversation((Turn("assistant", (label,)),))).ids([])
        assert prompt[prompt.index(Control.ASSISTANT) + 1] == token_id


def test_the_reference_says_the_same(reference: Path) -> None:
    """Its full tokenizer, for the prompt as text; the first labels are those of the table."""
    full = Tokenizer.from_file(str(reference / "tokenizer.json"))
    labels = Labels.load(PromptEncoder.load(reference / "tokenizer.json"))
    assert labels.texts == CANDIDATES[:MAX_OPTIONS]
    assert labels.ids[:5] == (319, 350, 315, 360, 382)
    for label, token_id in zip(labels.texts, labels.ids, strict=True):
        assert full.encode(f"<|assistant|>\n{label}", add_special_tokens=False).ids[-1] == token_id


def test_a_label_that_is_shown_otherwise(tokenizer_json: Path, encoder: PromptEncoder) -> None:
    """As by a tokenizer that has a token for it and the colon after it: it is none, the others are."""
    spec = json.loads(tokenizer_json.read_text())
    spec["model"]["vocab"]["▁AB:"] = max(spec["model"]["vocab"].values()) + 1
    spec["model"]["merges"].append(["▁AB", ":"] if isinstance(spec["model"]["merges"][0], list) else "▁AB :")
    spec.update(added_tokens=[], post_processor=None)
    other = PromptEncoder(Tokenizer.from_str(json.dumps(spec)))
    assert other.encode_text("AB") == encoder.encode_text("AB")
    as_always = list(Labels.load(encoder).texts)
    as_always.remove("AB")
    assert list(Labels.load(other).texts[:-1]) == as_always


def test_each_stands_in_its_option_s_line(encoder: PromptEncoder) -> None:
    """The very token that is asked for, wherever the line is, whatever the option says."""
    labels = Labels.load(encoder)
    options = tuple(Option(said) for said in ("1", "Ärger", "A", "(x)") * 64)[:MAX_OPTIONS]
    asked = Question("choice", ("Which?",), options, "questions[0]")
    lines = asked.listed(tuple(range(MAX_OPTIONS)), labels.texts).split("\n")[2:-1]
    for line, token_id in zip(lines, labels.ids, strict=True):
        assert token_id in encoder.encode_text(f"\n{line}")


def test_a_tokenizer_without_them() -> None:
    """Decides nothing, and says why."""
    with pytest.raises(LabelsUnusable, match="labels of options only"):
        Labels.load(PromptEncoder(_capital_a_alone()))


def _capital_a_alone() -> Tokenizer:
    """A tokenizer that knows one capital as a token."""
    tokenizer = Tokenizer(models.BPE({"▁": 0, "A": 1, "▁A": 2, "B": 3}, [("▁", "A")]))
    tokenizer.normalizer = normalizers.Prepend("▁")
    return tokenizer
