"""Grammars followed byte by byte with the library's own matcher; no engine runs."""

import json
import random
from functools import cache

import numpy as np
from llguidance import LLMatcher, LLTokenizer

from phiserve.constraints.limits import LIMITS

_CLOSING = b'"}],'
"""Bytes that bring JSON to an end."""


@cache
def byte_tokenizer() -> LLTokenizer:
    """A vocabulary of single bytes and control tokens."""
    return LLTokenizer("byte", slices=[])


def matcher(grammar: str) -> LLMatcher:
    """At the beginning of an answer."""
    found = LLMatcher(byte_tokenizer(), grammar, log_level=0, limits=LIMITS)
    assert not found.is_error(), found.get_error()
    return found


def passes(grammar: str, text: str) -> bool:
    """Whether a text may be the whole answer."""
    found, codes = matcher(grammar), list(text.encode())
    return found.try_consume_tokens(codes) == len(codes) and found.is_accepting()


def sample(grammar: str, random_: random.Random, most: int = 200) -> str | None:
    """An answer that a model which knows nothing might give; None where it does not come to an end soon."""
    found, answer = matcher(grammar), bytearray()
    end = byte_tokenizer().eos_token
    for _ in range(most):
        mask = np.frombuffer(found.compute_bitmask(), dtype=np.uint8)
        allowed = np.unpackbits(mask, bitorder="little").nonzero()[0].tolist()
        assert allowed, f"{bytes(answer)!r} leads nowhere"
        assert not found.is_error(), found.get_error()
        if end in allowed:
            return answer.decode()
        allowed = [code for code in allowed if code < 256]
        closing = [code for code in allowed if code in _CLOSING]
        token = random_.choice(closing if closing and random_.random() < 0.4 else allowed)
        assert found.consume_token(token), found.get_error()
        answer.append(token)
    return None


def write(value: object) -> str:
    """A value as answers write it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
