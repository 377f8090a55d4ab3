"""Every snippet of the documents that talks to a server does so, as it stands but for the address."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from snippets import ROOT, Snippet, snippets

ADDRESS = "127.0.0.1:8000"
NO_MEMORY_TO_JUDGE = {"PHISERVE_ENGINE__KV_CACHE_MEMORY_BYTES": "100000000"}
"""`phiserve doctor` would look for memory that the server of these tests has taken."""

RUN = [snippet for snippet in snippets("sh", "python") if not snippet.starts_a_server]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that snippets name."""
    folder = tmp_path_factory.mktemp("snippets")
    for name in ("clients", "configs", "docs"):
        (folder / name).symlink_to(ROOT / name)
    return folder


def addressed(code: str, url: str) -> str:
    """The snippet for the server at `url`, also where it relies on the address that is asked if none is
    given.
    """
    code = code.replace(ADDRESS, url.removeprefix("http://"))
    return re.sub(
        r"\bphiserve (?:ask|chat|decide|batch|decisions calibrate)\b(?!.* --url)",
        rf"\g<0> --url {url}/v1",
        code,
    )


@pytest.mark.parametrize("snippet", RUN, ids=str)
def test_snippet(snippet: Snippet, demo_url: str, folder: Path) -> None:
    """It ends well."""
    code = addressed(snippet.code, demo_url)
    command = (
        [sys.executable, "-c", code]
        if snippet.language == "python"
        else ["bash", "-euo", "pipefail", "-c", code]
    )
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = os.environ | NO_MEMORY_TO_JUDGE
    environment |= {"PATH": path, "OPENAI_BASE_URL": f"{demo_url}/v1"}
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=240)  # noqa: S603
    assert result.returncode == 0, result.stderr
    assert '"error":' not in result.stdout
