#!/usr/bin/env bash
# llguidance 1.7.6: text that can only come out one way is cut into tokens by the tokenizer itself, added tokens
# included, and then the matcher refuses the very token that its own mask named as the only one.
#
# Guess: a mask never leaves only a token that the matcher goes on to refuse. A constant that happens to spell an
# added token, "<user>", is a plain string, so the mask asks for it spelt out in ordinary tokens.
# Seen: the mask holds the added token's id alone; consuming it fails; the ordinary token of "<", which the mask
# has not, is valid. With `no_forcing` the string is spelt out and the whole answer accepted.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --no-deps --target "$folder" \
    llguidance==1.7.6 tokenizers==0.23.3
PYTHONPATH=$folder python3 - <<'PYTHON'
import json
import sys
from importlib.metadata import version

from llguidance import LLMatcher, LLTokenizer
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

print("llguidance", version("llguidance"), "tokenizers", version("tokenizers"))
print('guess: {"const": "a<user>"} is generated letter by letter, forced or not')

alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
tokenizer = Tokenizer(models.BPE({letter: index for index, letter in enumerate(alphabet)}, []))
tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
tokenizer.decoder = decoders.ByteLevel()
tokenizer.add_special_tokens(["<end>", "<user>"])
wrapped = LLTokenizer(tokenizer.to_str(), eos_token=tokenizer.token_to_id("<end>"))


def generate(head: str) -> tuple[list[str], bool, bool]:
    """Tokens of the mask, taken while it offers one alone; whether the last was refused where "<" was not;
    whether the answer is complete.
    """
    matcher = LLMatcher(wrapped, head + "start: %json " + json.dumps({"const": "a<user>"}), log_level=0)
    tokens: list[str] = []
    while not matcher.is_stopped():
        mask = int.from_bytes(matcher.compute_bitmask(), "little")
        assert mask.bit_count() == 1
        tokens.append(tokenizer.id_to_token(mask.bit_length() - 1))
        is_other_valid = matcher.validate_tokens([tokenizer.token_to_id("<")]) == 1
        if not matcher.consume_token(mask.bit_length() - 1):
            return tokens, is_other_valid, False
    return tokens, False, matcher.is_accepting()


seen = [generate(""), generate('%llguidance {"no_forcing": true}\n')]
for name, (tokens, is_refused, is_complete) in zip(("by default", "no_forcing"), seen):
    print(f'seen: {name}: offered {tokens}, refused while "<" is valid: {is_refused}, complete: {is_complete}')
expected = [(['"', "a", "<user>"], True, False), (list('"a<user>"'), False, True)]
sys.exit("the behaviour has changed" if seen != expected else 0)
PYTHON
