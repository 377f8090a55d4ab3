"""The tokenizer as other programs load it: the files that a hub's repository of it would hold."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from blake3 import blake3

_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>\n' + message['content'] + '<|end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"
)
"""Conversations of text as the server writes them, with the `<s>` that opens every prompt."""

_CONFIG = {
    "tokenizer_class": "PreTrainedTokenizerFast",
    "bos_token": "<s>",
    "eos_token": "<|endoftext|>",
    "pad_token": "<|endoftext|>",
    "unk_token": "<unk>",
    "clean_up_tokenization_spaces": False,
    "chat_template": _TEMPLATE,
}
"""Under this class transformers takes tokenizer.json as it is. The real model's own configuration names
another, which transformers 5 builds anew, with other ids around control tokens.
"""


@dataclass(frozen=True, slots=True)
class TokenizerRepository:
    """Files by their names, and a commit's name, which changes with them: 40 hexadecimal digits."""

    files: Mapping[str, bytes]
    commit: str

    @classmethod
    def of(cls, tokenizer_json: Path) -> "TokenizerRepository":
        """tokenizer.json as it is, and a configuration by which it is taken so. Raises OSError."""
        config = json.dumps(_CONFIG, indent=1).encode()
        files = {"tokenizer.json": tokenizer_json.read_bytes(), "tokenizer_config.json": config}
        return cls(files, commit=digest(b"".join(files.values())))

    def write(self, folder: Path) -> None:
        """Write the files into a folder, which is made if it is not there. Raises OSError."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in self.files.items():
            (folder / name).write_bytes(content)


def digest(content: bytes) -> str:
    """What stands for bytes where a hub gives Git's SHA-1: 40 hexadecimal digits."""
    return blake3(content).hexdigest(length=20)
