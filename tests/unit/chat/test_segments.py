"""Ids are split into control tokens, text and images."""

from phiserve.chat.encoder import PromptEncoder
from phiserve.chat.segments import split_segments
from phiserve.chat.vocabulary import Vocabulary


def test_split(encoder: PromptEncoder, vocabulary: Vocabulary) -> None:
    """Each control token by itself, text as long as it goes, images by their places; a final incomplete
    character shows.
    """
    ids = [1, 32010, *encoder.encode_text("Hé"), 32044, 32044, 32044, 1, 3 + 0xC3]
    text = len(ids) - 7
    segments = list(split_segments(ids, {2 + text: 2, 4 + text: 1}, vocabulary))
    assert [segment.kind for segment in segments] == [
        "control",
        "control",
        "text",
        "image",
        "image",
        "control",
        "text",
    ]
    assert [segment.offset for segment in segments] == [0, 1, 2, 2 + text, 4 + text, 5 + text, 6 + text]
    assert [segment.text for segment in segments] == ["<s>", "<|user|>", " Hé", "", "", "<s>", "\ufffd"]
    assert [token_id for segment in segments for token_id in segment.token_ids] == ids
