"""A tokenizer for checkpoints of our own, assembled without a download.

The 32,000 ordinary tokens are those that `mistral_common` ships (Apache-2.0); the added tokens are Phi-3's,
with their own ids and flags.
"""

from pathlib import Path

from phiserve.chat.special_tokens import ADDED_TOKENS, STRIPS_RIGHT, Control
from phiserve.checkpoint.folders import dump_json

_NOT_SPECIAL = frozenset({Control.EOS})
"""`</s>` is an added token, but not a special one."""

_SPACE = "\u2581"
"""How SentencePiece writes a space."""

_NORMALIZER = {
    "type": "Sequence",
    "normalizers": [
        {"type": "Prepend", "prepend": _SPACE},
        {"type": "Replace", "pattern": {"String": " "}, "content": _SPACE},
    ],
}
_BOS = {"SpecialToken": {"id": "<s>", "type_id": 0}}
_FIRST, _SECOND = {"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}
_POST_PROCESSOR = {
    "type": "TemplateProcessing",
    "single": [_BOS, _FIRST],
    "pair": [_BOS, _FIRST, _BOS, _SECOND],
    "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}},
}
_DECODER = {
    "type": "Sequence",
    "decoders": [
        {"type": "Replace", "pattern": {"String": _SPACE}, "content": " "},
        {"type": "ByteFallback"},
        {"type": "Fuse"},
        {"type": "Strip", "content": " ", "start": 1, "stop": 0},
    ],
}


def write_tokenizer(folder: Path) -> None:
    """Write tokenizer.json, tokenizer_config.json and special_tokens_map.json into an existing folder."""
    added = [_added_token(token_id) for token_id in ADDED_TOKENS]
    dump_json(folder / "tokenizer.json", _tokenizer_spec(added))
    names = {
        "bos_token": "<s>",
        "eos_token": "<|endoftext|>",
        "pad_token": "<|endoftext|>",
        "unk_token": "<unk>",
    }
    decoder = {
        str(token["id"]): {key: value for key, value in token.items() if key != "id"} for token in added
    }
    dump_json(
        folder / "tokenizer_config.json",
        {**names, "tokenizer_class": "PreTrainedTokenizerFast", "added_tokens_decoder": decoder},
    )
    dump_json(folder / "special_tokens_map.json", names)


def ordinary_tokens() -> dict[str, int]:
    """The 32,000 ordinary tokens, as SentencePiece writes them, and their ids."""
    return _vocabulary()[0]


def _added_token(token_id: int) -> dict[str, object]:
    return {
        "id": token_id,
        "content": ADDED_TOKENS[token_id],
        "single_word": False,
        "lstrip": False,
        "rstrip": token_id in STRIPS_RIGHT,
        "normalized": False,
        "special": token_id not in _NOT_SPECIAL,
    }


def _tokenizer_spec(added: list[dict[str, object]]) -> dict[str, object]:
    """The content of a tokenizer.json with the same parts as the model's own, around another vocabulary."""
    vocab, scores = _vocabulary()
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": _NORMALIZER,
        "pre_tokenizer": None,
        "post_processor": _POST_PROCESSOR,
        "decoder": _DECODER,
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


def _vocabulary() -> tuple[dict[str, int], dict[str, float]]:
    """Token -> id and token -> score of the SentencePiece model that mistral_common ships."""
    import mistral_common
    from sentencepiece import SentencePieceProcessor

    (package,) = mistral_common.__path__
    model = SentencePieceProcessor(str(Path(package) / "data" / "tokenizer.model.v1"))
    ids = range(model.get_piece_size())
    tokens = [model.id_to_piece(token_id) for token_id in ids]
    scores = {token: model.get_score(token_id) for token_id, token in enumerate(tokens)}
    return dict(zip(tokens, ids, strict=True)), scores


def _merges(vocab: dict[str, int], scores: dict[str, float]) -> list[str]:
    """Every way to join two tokens into a third, best score first, as in SentencePiece's BPE."""
    merges: list[tuple[float, str, str]] = []
    for token, score in scores.items():
        splits = [(token[:end], token[end:]) for end in range(1, len(token))]
        known = [(left, right) for left, right in splits if left in vocab and right in vocab]
        known.sort(key=lambda pair: (vocab[pair[0]], vocab[pair[1]]))
        merges += [(score, left, right) for left, right in known]
    merges.sort(key=lambda merge: -merge[0])
    return [f"{left} {right}" for _, left, right in merges]
