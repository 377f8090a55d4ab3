"""Token ids -> text, piece by piece: by a table as far as tokens are pieces of text, otherwise as vLLM does.

vLLM decodes the last pieces anew for each token, to learn what the next one adds to them. For most tokens the
answer is always the same.
"""

import re
from collections.abc import Mapping, Sequence

from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream
from transformers import TokenizersBackend
from vllm.sampling_params import RequestOutputKind
from vllm.v1.engine import EngineCoreRequest
from vllm.v1.engine.detokenizer import BaseIncrementalDetokenizer, FastIncrementalDetokenizer

from phiserve.chat.special_tokens import ADDED_TOKENS

_BYTE_TOKEN = re.compile(r"<0x([0-9A-F]{2})>")
_FIRST_PART = 0x80
"""From here on bytes are parts of characters in UTF-8; those before are characters."""

_INCOMPLETE = "\N{REPLACEMENT CHARACTER}"
"""What text ends in whose last character may still come; vLLM holds it back."""

Texts = Mapping[int, str]


def texts_of(tokenizer: Tokenizer) -> Texts:
    """What each token adds to any text that is complete before it, for tokens of which that can be said.

    It cannot of a part of a character and of those that decoding leaves out.
    """
    added = tokenizer.get_added_tokens_decoder()
    texts = {}
    for token, token_id in tokenizer.get_vocab(with_added_tokens=False).items():
        if match := _BYTE_TOKEN.fullmatch(token):
            if (byte := int(match[1], 16)) < _FIRST_PART:
                texts[token_id] = chr(byte)
        elif not (token_id in added or token.endswith(_INCOMPLETE)):
            texts[token_id] = token.replace("\u2581", " ")
    return texts


class TableDetokenizer(FastIncrementalDetokenizer):
    """vLLM's detokenizer without control tokens, with its decoding only where `texts` does not help."""

    output_text: str

    def __init__(self, tokenizer: TokenizersBackend, request: EngineCoreRequest, texts: Texts) -> None:
        BaseIncrementalDetokenizer.__init__(self, request)
        self.request_id = request.request_id
        self.skip_special_tokens = self.spaces_between_special_tokens = True
        self.tokenizer: Tokenizer = tokenizer.backend_tokenizer
        self.stream: DecodeStream | None = _stream_after(_last_piece(request.prompt_token_ids or [], texts))
        self._texts = texts
        self._before: Sequence[int] = ()
        self._is_told_once = not self.stop and request.params.output_kind == RequestOutputKind.DELTA

    def update(self, new_token_ids: list[int], stop_terminated: bool) -> str | None:
        """Take in the tokens of a step. See `BaseIncrementalDetokenizer.update`."""
        if len(new_token_ids) == 1 and self.stream is None and not (self.stop or stop_terminated):
            text = self._texts.get(new_token_ids[0])
            if text is not None:
                self.token_ids.append(new_token_ids[0])
                self._before = (new_token_ids[0],)
                self.output_text += text
                return None
        return super().update(new_token_ids, stop_terminated)

    def get_next_output_text(self, finished: bool, delta: bool) -> str:
        """The text so far or, with `delta`, since the last call.

        What has been told is kept only where stop strings are looked for in it.
        """
        if not self._is_told_once:
            return super().get_next_output_text(finished, delta)
        text, self.output_text = self.output_text, ""
        return text

    def decode_next(self, next_token_id: int) -> str:
        """What the token adds to the text; nothing while a character is incomplete."""
        text = self._texts.get(next_token_id)
        if self.stream is None and text is None:
            self.stream = _stream_after(self._before)
        if self.stream is not None:
            told = self._protected_step(next_token_id)
            if told is None or text is None:
                return told or ""
            self.stream, text = None, told
        self._before = (next_token_id,)
        return text or ""


def _stream_after(ids: Sequence[int]) -> DecodeStream:
    return DecodeStream(ids=list(ids), skip_special_tokens=True)


def _last_piece(ids: list[int], texts: Texts) -> list[int]:
    """So much of a prompt's end as decides what the first token adds to it: all, where a character is cut."""
    for start in reversed(range(len(ids))):
        text = texts.get(ids[start])
        if text not in (None, " "):  # decoding takes the first space away
            return ids[start:]
        if text is None and ids[start] not in ADDED_TOKENS:
            break
    return ids
