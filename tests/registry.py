"""What tests have pip and npm fetch: without a registry to reach the test is skipped; whatever else fails is
a failure.
"""

import os
import re
import subprocess

import pytest

_UNREACHABLE = re.compile(
    # pip's words, then npm's
    r".*(NewConnectionError|NameResolutionError|ConnectTimeoutError|ReadTimeoutError|ProxyError"
    r"|ENOTFOUND|ECONNREFUSED|ECONNRESET|EAI_AGAIN|ETIMEDOUT|ENETUNREACH).*"
)
_PIP = {"PIP_RETRIES": "2", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
"""pip names a connection's fault when it tries again; what it says in the end is the same for a version that
does not exist."""


def fetch_by(*command: str, timeout_s: float = 500) -> None:
    """Run a command of pip's or npm's."""
    result = subprocess.run(  # noqa: S603 - our own commands
        command, env=os.environ | _PIP, capture_output=True, text=True, timeout=timeout_s, check=False
    )
    said = f"{result.stdout}\n{result.stderr}"
    if result.returncode and (reason := _UNREACHABLE.search(said)):
        pytest.skip(f"the package registry can't be reached: {reason[0].strip()}")
    assert result.returncode == 0, said
