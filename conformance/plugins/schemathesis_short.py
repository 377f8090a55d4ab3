"""A hook of schemathesis: answers whose length a generated request leaves open are kept short; up to 128 are
asked for.
"""

from typing import Any

import schemathesis

_LENGTHS = ("max_tokens", "max_completion_tokens", "max_output_tokens", "min_tokens")


@schemathesis.hook  # type: ignore[untyped-decorator]
def before_call(context: schemathesis.HookContext, case: schemathesis.Case, **options: Any) -> None:
    """Only where nothing is said: what is valid stays so, and what is not too."""
    if not isinstance(case.body, dict) or any(case.body.get(name) for name in _LENGTHS):
        return
    if "messages" in case.body:
        case.body = case.body | {"max_tokens": 4}
    elif "input" in case.body and case.operation.path.endswith("/responses"):
        case.body = case.body | {"max_output_tokens": 16}
