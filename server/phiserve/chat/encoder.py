"""Conversation -> token ids, equal to the reference processor's.

The reference cuts the prompt string at its image tags and tokenizes each segment by itself, with a `<s>` of
its own. Within a segment the tokenizer first splits at control tokens and then encodes every text between
them with a prefix space. Here control ids come from structure alone and text goes through a tokenizer that
knows no control tokens, so nothing typed can become one. Source: `processing_phi3_v.py` of
microsoft/Phi-3-vision-128k-instruct (`_convert_images_texts_to_inputs`).
"""

import json
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from tokenizers import Encoding, Tokenizer

from phiserve.chat.special_tokens import STRIPS_RIGHT, Control
from phiserve.core import Conversation, Part, Prompt, RawPrompt, Role

_ROLE_IDS: dict[Role, Control] = {
    "system": Control.SYSTEM,
    "user": Control.USER,
    "assistant": Control.ASSISTANT,
}

# A prompt string in structure: text, control tokens, and None for an image tag.
_Element = str | Control | None

_END: tuple[_Element, ...] = (Control.END, "\n", Control.ASSISTANT, "\n")
"""What ends the user's turn and begins the answer's."""


LONG_TEXT = 20_000
"""Number of characters from which text should be encoded off the event loop.

Shorter text takes about a millisecond.
"""


@dataclass(frozen=True, slots=True)
class EncodedPrompt:
    """The prompt's ids around its images.

    `segments[k]` precedes image k; the last one ends the prompt.
    """

    segments: tuple[Sequence[int], ...]

    @property
    def num_text_tokens(self) -> int:
        """Tokens that are not an image's."""
        return sum(len(segment) for segment in self.segments)

    def image_offsets(self, image_tokens: Sequence[int]) -> tuple[int, ...]:
        """Offset of each image's first token in the prompt, given how many tokens each takes."""
        ends = accumulate(
            len(segment) + count for segment, count in zip(self.segments, image_tokens, strict=False)
        )
        return tuple(end - count for end, count in zip(ends, image_tokens, strict=True))

    def ids(self, image_tokens: Sequence[int]) -> list[int]:
        """The flat ids, each image as that many `<|image|>` ids."""
        ids = list(self.segments[0])
        for count, segment in zip(image_tokens, self.segments[1:], strict=True):
            ids += [Control.IMAGE.value] * count
            ids += segment
        return ids


class PromptEncoder:
    """Encodes conversations with the model's tokenizer. Thread-safe."""

    def __init__(self, plain: Tokenizer) -> None:
        """`plain` must have no added tokens and no post-processor; see `load`."""
        self._plain = plain
        self._longest_token = max(map(len, plain.get_vocab()))

    @classmethod
    def load(cls, tokenizer_json: Path) -> "PromptEncoder":
        """Load `tokenizer.json` stripped of its control tokens. Raises OSError if it cannot be read."""
        return cls(load_plain_tokenizer(tokenizer_json))

    def least_tokens(self, conversation: Prompt) -> int:
        """Smallest number of tokens that the text of a conversation or of a raw prompt can take.

        Told from its length alone: no token is longer than the longest of the vocabulary.
        """
        return self.least_tokens_of(conversation.num_characters)

    def least_tokens_of(self, num_characters: int) -> int:
        """The same of a text of so many characters."""
        return -(-num_characters // self._longest_token)

    def encode(self, conversation: Prompt) -> EncodedPrompt:
        """Encode all turns and, unless the last is open, the generation prompt; or a raw prompt."""
        if isinstance(conversation, RawPrompt):
            return EncodedPrompt((self._raw_ids(conversation),))
        return self._segments(_elements(conversation), [Control.BOS.value])

    def encode_more(self, parts: Sequence[Part]) -> EncodedPrompt:
        """Encode how an open turn of the user's goes on.

        The first segment goes on with the last one of the open conversation. `parts` begin with a line break,
        which no token crosses: the ids are the same as if all were encoded at once, but for the prefix space
        that a text of its own gets.
        """
        return self._onward([part if isinstance(part, str) else None for part in parts])

    def encode_end(self, text: str) -> Sequence[int]:
        """Encode an open turn's last text, which begins with a line break, and what begins the answer."""
        (ids,) = self._onward([text, *_END]).segments
        return ids

    def _onward(self, elements: Sequence[_Element]) -> EncodedPrompt:
        """The ids of elements that go on with a text. There may be many such: four bytes an id."""
        first, *others = self._segments(elements, []).segments
        return EncodedPrompt(tuple(array("I", segment) for segment in (first[1:], *others)))

    def _segments(self, elements: Sequence[_Element], first: list[int]) -> EncodedPrompt:
        """The ids of elements; `first` are those that the first segment begins with."""
        elements = _strip(_merge_text(elements))
        encoded = iter(self._encode([element for element in elements if isinstance(element, str)]))
        segments = [first]
        for element in elements:
            if element is None:
                segments.append([Control.BOS.value])
            elif isinstance(element, str):
                segments[-1] += next(encoded).ids
            else:
                segments[-1].append(element.value)
        return EncodedPrompt(tuple(map(tuple, segments)))

    def _raw_ids(self, prompt: RawPrompt) -> tuple[int, ...]:
        """Ids as they are given; text behind `<s>`, as the reference's tokenizer encodes it by itself."""
        if isinstance(prompt.content, str):
            bos = [Control.BOS.value] if prompt.with_bos else []
            return (*bos, *self.encode_text(prompt.content))
        return prompt.content

    def encode_text(self, text: str) -> list[int]:
        """Ids of plain text with its prefix space; no control id can occur."""
        return self._encode([text])[0].ids if text else []

    def _encode(self, texts: list[str]) -> list[Encoding]:
        """Encode texts in one batch.

        Only the batch call releases the GIL, without which a thread would not free the event loop.
        """
        return self._plain.encode_batch_fast(texts, add_special_tokens=False)


RUST_WHITESPACE = "".join(
    map(
        chr,
        (
            *range(0x09, 0x0E),
            0x20,
            0x85,
            0xA0,
            0x1680,
            *range(0x2000, 0x200B),
            0x2028,
            0x2029,
            0x202F,
            0x205F,
            0x3000,
        ),
    )
)
"""Characters of Unicode's White_Space, by which the tokenizers library strips.

Python's `str.lstrip()` would also strip four control characters.
"""


def _elements(conversation: Conversation) -> list[_Element]:
    elements: list[_Element] = []
    for turn in conversation.turns:
        elements += [_ROLE_IDS[turn.role], "\n"]
        elements += [part if isinstance(part, str) else None for part in turn.parts]
        elements += [Control.END, "\n"]
    return elements[:-2] if conversation.is_open else [*elements, *_END[2:]]


def _merge_text(elements: Sequence[_Element]) -> list[_Element]:
    merged: list[_Element] = []
    for element in elements:
        if isinstance(element, str) and merged and isinstance(merged[-1], str):
            merged[-1] += element
        else:
            merged.append(element)
    return merged


def _strip(elements: Sequence[_Element]) -> list[_Element]:
    """Drop the white space that control tokens swallow, and texts of which nothing is left."""
    stripped: list[_Element] = []
    for element in elements:
        if isinstance(element, str) and stripped and stripped[-1] in STRIPS_RIGHT:
            element = element.lstrip(RUST_WHITESPACE)
        if element != "":
            stripped.append(element)
    return stripped


def load_plain_tokenizer(tokenizer_json: Path) -> Tokenizer:
    """`tokenizer.json` without added tokens, post-processor, truncation or padding."""
    spec = json.loads(tokenizer_json.read_text(encoding="utf-8"))
    spec.update(added_tokens=[], post_processor=None, truncation=None, padding=None)
    return Tokenizer.from_str(json.dumps(spec))
