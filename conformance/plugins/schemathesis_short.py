"""A hook of schemathesis: answers whose length a generated request leaves open are kept short; up to 128 are
asked for.
"""

from typing import Any

import schemathesis

_LENGTHS = ("max_tokens", "max_completion_tokens", "min_tokens")


@schemathesis.hook  # type: ignore[untyped-decorator]
def before_call(context: schemathesis.HookContext, case: schemathesis.Case, **options: Any) -> None:
    """Only where nothing is said: what is valid stays so, and what is not too."""
    if (
        isinstance(case.body, dict)
        and "messages" in case.body
        and not any(case.body.get(name) for name in _LENGTHS)
    ):
        case.body = case.body | {"max_tokens": 4}
