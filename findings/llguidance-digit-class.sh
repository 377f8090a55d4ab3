#!/usr/bin/env bash
# llguidance 1.7.6: what \d matches depends on which door the same expression comes in by.
#
# Guess: a library has one regular expression engine, so `\d` means the same in a grammar's terminal, in a
# plain regular expression and in the `pattern` of a JSON schema.
# Seen: the first two take any Unicode digit (Rust's meaning), `pattern` takes 0-9 alone (ECMA-262's meaning);
# likewise \w, but not \s, which takes a no-break space everywhere (as both ECMA-262 and Rust have it).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --no-deps --target "$folder" llguidance==1.7.6
PYTHONPATH=$folder python3 - <<'PYTHON'
import json
import sys
from importlib.metadata import version

from llguidance import LLMatcher, LLTokenizer

print("llguidance", version("llguidance"))
print("guess: \\d, \\w and \\s mean the same in a terminal, a regex and a pattern")

tokenizer = LLTokenizer("byte")


def takes(grammar: str, text: str) -> bool:
    matcher = LLMatcher(tokenizer, grammar, log_level=0)
    assert not matcher.is_error(), matcher.get_error()
    content = text.encode()
    return matcher.try_consume_tokens(list(content)) == len(content) and matcher.is_accepting()


def doors(name: str, character: str) -> tuple[bool, bool, bool]:
    schema = json.dumps({"type": "string", "pattern": f"^{name}$"})
    return (
        takes(f"start: /{name}/", character),
        takes(LLMatcher.grammar_from_regex(name), character),
        takes(LLMatcher.grammar_from_json_schema(schema), json.dumps(character, ensure_ascii=False)),
    )


cases = {
    ("\\d", "7"): (True, True, True),
    ("\\d", "\u0663"): (True, True, False),  # Arabic-Indic digit three
    ("\\w", "\u00e9"): (True, True, False),  # e with an acute accent
    ("\\s", "\u00a0"): (True, True, True),
}
seen = {case: doors(*case) for case in cases}
for (name, character), taken in seen.items():
    print(f"seen: {name} takes U+{ord(character):04X} in a terminal, a regex, a pattern: {taken}")
sys.exit("the behaviour has changed" if seen != cases else 0)
PYTHON
