"""A tokenizer for blank checkpoints, assembled without a download.

The 32,000 pieces are those that `mistral_common` ships (Apache-2.0), the added tokens are Phi-3's at their
own ids and flags.
"""

import json
from pathlib import Path
from typing import Any

from phiserve.chat.special_tokens import ADDED_TOKENS, STRIPS_RIGHT, Control

_NOT_SPECIAL = frozenset({Control.EOS})  # `</s>` is an added token but not a special one


def write_tokenizer(folder: Path) -> None:
    """Write tokenizer.json, tokenizer_config.json and special_tokens_map.json into an existing folder."""
    added = [_added_token(token_id) for token_id in ADDED_TOKENS]
    _dump(folder / "tokenizer.json", _tokenizer_spec(added))
    names = {
        "bos_token": "<s>",
        "eos_token": "<|endoftext|>",
        "pad_token": "<|endoftext|>",
        "unk_token": "<unk>",
    }
    decoder = {str(token["id"]): {k: v for k, v in token.items() if k != "id"} for token in added}
    _dump(
        folder / "tokenizer_config.json",
        {**names, "tokenizer_class": "PreTrainedTokenizerFast", "added_tokens_decoder": decoder},
    )
    _dump(folder / "special_tokens_map.json", names)


def ordinary_pieces() -> dict[str, int]:
    """The 32,000 ordinary pieces and their ids."""
    return _pieces()[0]


def _added_token(token_id: int) -> dict[str, Any]:
    return {
        "id": token_id,
        "content": ADDED_TOKENS[token_id],
        "single_word": False,
        "lstrip": False,
        "rstrip": token_id in STRIPS_RIGHT,
        "normalized": False,
        "special": token_id not in _NOT_SPECIAL,
    }


def _tokenizer_spec(added: list[dict[str, Any]]) -> dict[str, Any]:
    """A tokenizer.json of the same parts as the model's own, around other pieces."""
    vocab, scores = _pieces()
    bos = {"SpecialToken": {"id": "<s>", "type_id": 0}}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": {
            "type": "Sequence",
            "normalizers": [
                {"type": "Prepend", "prepend": "\u2581"},
                {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"},
            ],
        },
        "pre_tokenizer": None,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [bos, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [
                bos,
                {"Sequence": {"id": "A", "type_id": 0}},
                bos,
                {"Sequence": {"id": "B", "type_id": 1}},
            ],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}},
        },
        "decoder": {
            "type": "Sequence",
            "decoders": [
                {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "},
                {"type": "ByteFallback"},
                {"type": "Fuse"},
                {"type": "Strip", "content": " ", "start": 1, "stop": 0},
            ],
        },
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": "<unk>",
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": True,
            "byte_fallback": True,
            "ignore_merges": False,
            "vocab": vocab,
            "merges": _merges(vocab, scores),
        },
    }


def _pieces() -> tuple[dict[str, int], dict[str, float]]:
    """Piece -> id and piece -> score of the SentencePiece model that mistral_common ships."""
    import mistral_common
    from sentencepiece import SentencePieceProcessor

    (package,) = mistral_common.__path__
    model = SentencePieceProcessor(str(Path(package) / "data" / "tokenizer.model.v1"))
    ids = range(model.get_piece_size())
    pieces = [model.id_to_piece(i) for i in ids]
    return dict(zip(pieces, ids, strict=True)), {piece: model.get_score(i) for i, piece in enumerate(pieces)}


def _merges(vocab: dict[str, int], scores: dict[str, float]) -> list[str]:
    """Every way to join two pieces into a third, best score first, as SentencePiece's BPE would apply
    them.
    """
    merges = []
    for piece, score in scores.items():
        splits = [(piece[:k], piece[k:]) for k in range(1, len(piece))]
        known = [(left, right) for left, right in splits if left in vocab and right in vocab]
        merges += [
            (score, left, right)
            for left, right in sorted(known, key=lambda pair: (vocab[pair[0]], vocab[pair[1]]))
        ]
    merges.sort(key=lambda merge: -merge[0])
    return [f"{left} {right}" for _, left, right in merges]


def _dump(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")
