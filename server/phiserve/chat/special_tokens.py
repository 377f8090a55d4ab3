"""The control tokens of Phi-3-vision.

Source: tokenizer.json (`added_tokens`) and tokenizer_config.json of the model.
"""

from enum import IntEnum

ADDED_TOKENS: dict[int, str] = {
    0: "<unk>",
    1: "<s>",
    2: "</s>",
    32000: "<|endoftext|>",
    32001: "<|assistant|>",
    **{32001 + k: f"<|placeholder{k}|>" for k in range(1, 5)},
    32006: "<|system|>",
    32007: "<|end|>",
    **{32003 + k: f"<|placeholder{k}|>" for k in (5, 6)},
    32010: "<|user|>",
    **{32004 + k: f"<|placeholder{k}|>" for k in range(7, 40)},
    32044: "<|image|>",
}
"""Every added token by id."""

STRIPS_RIGHT = frozenset(
    token_id
    for token_id, content in ADDED_TOKENS.items()
    if content in ("</s>", "<|assistant|>", "<|image|>") or content.startswith("<|placeholder")
)
"""Tokens that swallow the white space to their right."""

VOCAB_SIZE = 32064
ORDINARY_TOKENS = 32000
"""Ordinary tokens have the ids below this; added tokens the ones above, and 0, 1, 2."""


class Control(IntEnum):
    """The ids that structure a prompt."""

    BOS = 1
    EOS = 2
    ENDOFTEXT = 32000
    ASSISTANT = 32001
    SYSTEM = 32006
    END = 32007
    USER = 32010
    IMAGE = 32044


STOP_TOKEN_IDS = (Control.EOS, Control.ENDOFTEXT, Control.ASSISTANT, Control.END)
"""Ids that end an answer, whatever the checkpoint's own configuration says."""
