"""The tokenizer vLLM decodes with: tokenizer.json as it is, never rebuilt from tokenizer_config.json."""

from pathlib import Path

from huggingface_hub import hf_hub_download
from transformers import PreTrainedTokenizerFast
from vllm.tokenizers.hf import get_cached_tokenizer


class Phi3VTokenizer(PreTrainedTokenizerFast):
    """`tokenizer.json` behind transformers' interface.

    transformers 5 derives its other tokenizer classes anew from tokenizer_config.json, which loses the rules
    for white space after control tokens.
    """

    @classmethod
    def from_pretrained(  # type: ignore[override]  # vLLM's own signature
        cls,
        name_or_path: str,
        *args: object,
        revision: str | None = None,
        download_dir: str | None = None,
        **kwargs: object,
    ) -> "Phi3VTokenizer":
        """Load from a folder or a hub repository. Raises OSError when there is no tokenizer.json."""
        path = Path(name_or_path) / "tokenizer.json"
        if not path.parent.is_dir():
            path = Path(
                hf_hub_download(name_or_path, "tokenizer.json", revision=revision, cache_dir=download_dir)
            )
        tokenizer = cls(
            tokenizer_file=str(path),
            name_or_path=str(name_or_path),
            unk_token="<unk>",
            bos_token="<s>",
            eos_token="<|endoftext|>",
            pad_token="<|endoftext|>",
            clean_up_tokenization_spaces=False,
            truncation_side=kwargs.get("truncation_side", "left"),
        )
        return get_cached_tokenizer(tokenizer)
