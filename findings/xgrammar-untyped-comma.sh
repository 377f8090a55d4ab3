#!/usr/bin/env bash
# xgrammar 0.2.8: `separators` rule the colons of a value that the schema does not describe, but not the commas.
#
# Guess: compiled with separators=(",", ":") and no free whitespace, a schema takes what Python's json.dumps
# writes with those separators, wherever in the answer it stands.
# Seen: in values of any kind ({} or an array without `items`) the comma must be ", " all the same, while the
# colon is ":"; one answer must write [1,2] where the array is described and [1, 2] where it is not.
# torch and transformers, which it imports for masks and tokenizers, are stubbed: compiling and matching do not
# touch them.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --no-deps --target "$folder" \
    xgrammar==0.2.8 apache-tvm-ffi==0.1.12 numpy==2.3.5 pydantic==2.12.4 pydantic-core==2.41.5 \
    annotated-types==0.7.0 typing-extensions==4.15.0 typing-inspection==0.4.2
PYTHONPATH=$folder python3 - <<'PYTHON'
import json
import sys
from importlib.metadata import version
from unittest.mock import MagicMock

import tvm_ffi  # before the stubs, which it would take for the real ones

sys.modules.update(torch=MagicMock(), transformers=MagicMock())
import xgrammar

print("xgrammar", version("xgrammar"), "apache-tvm-ffi", version("apache-tvm-ffi"))
print('guess: with separators=(",", ":") only the compact form of any value is taken')

END = 256
vocabulary = [bytes((value,)) for value in range(END)] + [b"<end>"]
tokenizer = xgrammar.TokenizerInfo(vocabulary, vocab_type=xgrammar.VocabType.RAW, stop_token_ids=[END])
compiler = xgrammar.GrammarCompiler(tokenizer)
DESCRIBED = {"type": "array", "items": {"type": "integer"}}
BOTH = {"type": "object", "properties": {"a": DESCRIBED, "b": {}}, "required": ["a", "b"]}


def takes(schema: dict[str, object], text: str) -> bool:
    grammar = compiler.compile_json_schema(json.dumps(schema), any_whitespace=False, separators=(",", ":"))
    matcher = xgrammar.GrammarMatcher(grammar)
    return all(matcher.accept_token(token) for token in (*text.encode(), END))


cases = [
    (DESCRIBED, "[1,2]", True), (DESCRIBED, "[1, 2]", False),
    ({"type": "array"}, "[1,2]", False), ({"type": "array"}, "[1, 2]", True),
    ({}, '{"x":{"y":1}}', True), ({}, '{"x": {"y": 1}}', False),
    ({}, '{"x":1,"y":2}', False), ({}, '{"x":1, "y":2}', True),
    (BOTH, '{"a":[1,2],"b":[1,2]}', False), (BOTH, '{"a":[1,2],"b":[1, 2]}', True),
]
seen = [takes(schema, text) for schema, text, _ in cases]
for (schema, text, _), is_taken in zip(cases, seen):
    print(f"seen: {json.dumps(schema)} {'takes' if is_taken else 'refuses'} {text}")
sys.exit("the behaviour has changed" if seen != [expected for *_, expected in cases] else 0)
PYTHON
