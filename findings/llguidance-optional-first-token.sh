#!/usr/bin/env bash
# llguidance 1.7.6: an alternative that begins with an optional terminal is lost beside one that may go on.
#
# Guess: `start: call | text` accepts all that either rule accepts by itself, as a grammar without a separate
# lexer would: `call: " "? "f[" "]"` takes " f[]", and text is anything that does not begin with " f[" or "f[".
# Seen: " f[]" is refused, while "f[]" passes, and `start: call` alone takes both. The lexer looks for the
# longest lexeme: after " f" the text's goes on, so the space by itself is no lexeme any more, and with it the
# call. As one lexeme, / ?f\[/, the space does no harm.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --target "$folder" llguidance==1.7.6
PYTHONPATH=$folder python3 - <<'PYTHON'
import sys
from importlib.metadata import version

from llguidance import LLMatcher, LLTokenizer

print("llguidance", version("llguidance"))
print("guess: every grammar takes both texts")
TEXT = r"text: TEXT" "\n" r"TEXT: /(?s:.)*/ & ~/ ?f\[(?s:.)*/"
GRAMMARS = {
    "call alone, two lexemes": 'start: call\ncall: " "? "f[" "]"',
    "call or text, two lexemes": f'start: call | text\ncall: " "? "f[" "]"\n{TEXT}',
    "call or text, one lexeme": f'start: call | text\ncall: OPENING "]"\nOPENING: / ?f\\[/\n{TEXT}',
}
tokenizer = LLTokenizer("byte", slices=[])
seen = {}
for name, grammar in GRAMMARS.items():
    passed = []
    for text in ("f[]", " f[]"):
        matcher = LLMatcher(tokenizer, grammar, log_level=0)
        codes = list(text.encode())
        passed.append(matcher.try_consume_tokens(codes) == len(codes) and matcher.is_accepting())
    seen[name] = tuple(passed)
    print(f"seen: {name}: 'f[]' {passed[0]}, ' f[]' {passed[1]}")
expected = {
    "call alone, two lexemes": (True, True),
    "call or text, two lexemes": (True, False),
    "call or text, one lexeme": (True, True),
}
sys.exit("the behaviour has changed" if seen != expected else 0)
PYTHON
