#!/usr/bin/env bash
# tokenizers 0.23.3: `Encoding.tokens` holds text that is in no vocabulary where an added token strips.
#
# Guess: `tokens` are the vocabulary's entries of `ids`, one by one, so token_to_id leads back from each; white
# space that an added token with rstrip swallows belongs to nothing, or at most to its offsets.
# Seen: the swallowed space is part of the token's text, which token_to_id does not know and which differs from
# id_to_token of the same id. Without space behind the added token all is as guessed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --no-deps --target "$folder" tokenizers==0.23.3
PYTHONPATH=$folder python3 - <<'PYTHON'
import sys
from importlib.metadata import version

from tokenizers import AddedToken, Tokenizer, models

print("tokenizers", version("tokenizers"))
print("guess: [token_to_id(token) for token in encoding.tokens] == encoding.ids")

tokenizer = Tokenizer(models.WordLevel({"?": 0, "hello": 1}, unk_token="?"))
tokenizer.add_special_tokens([AddedToken("<user>", rstrip=True)])
for text, tokens in (("<user>hello", ["<user>", "hello"]), ("<user>\n hello", ["<user>\n ", "hello"])):
    encoding = tokenizer.encode(text)
    back = [tokenizer.token_to_id(token) for token in encoding.tokens]
    names = [tokenizer.id_to_token(id_) for id_ in encoding.ids]
    print(f"seen: {text!r}: tokens {encoding.tokens}, ids {encoding.ids}, back to ids {back}, names {names}")
    is_as_seen = encoding.tokens == tokens and encoding.ids == [2, 1] and names == ["<user>", "hello"]
    if not is_as_seen or back != [2 if tokens[0] == "<user>" else None, 1]:
        sys.exit("the behaviour has changed")
PYTHON
