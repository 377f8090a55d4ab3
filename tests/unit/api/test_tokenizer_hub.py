"""A hub's client finds the tokenizer here by the model's name, and nothing else."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
from huggingface_hub import HfApi, hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError

from phiserve.api.app import create_app
from phiserve.api.services import Services
from phiserve.checkpoint.tokenizer_repository import TokenizerRepository
from scripted import ScriptedEngine
from serving import serving
from wire import call

MakeServices = Callable[..., Services]
Result = TypeVar("Result")
FILES = ["tokenizer.json", "tokenizer_config.json"]


def ask(services: Services, question: Callable[[str], Result]) -> Result:
    """What a client gets from a server at a URL."""

    async def run() -> Result:
        async with serving(create_app(services)) as server:
            return await asyncio.to_thread(question, f"http://127.0.0.1:{server.port}")

    return asyncio.run(run())


@pytest.fixture
def services(make_services: MakeServices) -> Services:
    """Of a model with two names."""
    return make_services(ScriptedEngine(), served_model_name="owner/name")


@pytest.mark.parametrize("name", ["m", "owner/name"])
def test_files_are_listed_and_downloaded(
    services: Services, tokenizer: TokenizerRepository, tmp_path: Path, name: str
) -> None:
    """By the hub's own client, for each name of the model."""

    def question(url: str) -> tuple[str | None, list[str], list[str], list[bytes]]:
        api = HfApi(url)
        files = [
            hf_hub_download(name, file, endpoint=url, cache_dir=tmp_path)
            for file in api.list_repo_files(name)
        ]
        tree = [entry.path for entry in api.list_repo_tree(name)]
        sha = api.model_info(name).sha
        paths = [*map(Path, files)]
        return sha, tree, [path.parent.name for path in paths], [path.read_bytes() for path in paths]

    sha, tree, commits, contents = ask(services, question)
    assert (sha, tree) == (tokenizer.commit, FILES)
    assert commits == [tokenizer.commit] * 2
    assert contents == [tokenizer.files[file] for file in FILES]


def test_a_commit_can_be_named(services: Services, tokenizer: TokenizerRepository, tmp_path: Path) -> None:
    """As clients do once they know it; any other revision is told to be none."""

    def question(url: str) -> str:
        with pytest.raises(RevisionNotFoundError):
            hf_hub_download("m", FILES[0], revision="other", endpoint=url, cache_dir=tmp_path)
        commit = HfApi(url).model_info("m", revision=tokenizer.commit).sha
        return hf_hub_download("m", FILES[0], revision=commit, endpoint=url, cache_dir=tmp_path)

    assert Path(ask(services, question)).read_bytes() == tokenizer.files[FILES[0]]


def test_what_is_missing_is_told_in_the_hub_s_words(services: Services, tmp_path: Path) -> None:
    """By which transformers goes on without files that need not be there."""

    def question(url: str) -> None:
        for file in ("config.json", "chat_template.jinja"):
            with pytest.raises(EntryNotFoundError):
                hf_hub_download("m", file, endpoint=url, cache_dir=tmp_path)
        with pytest.raises(EntryNotFoundError):
            list(HfApi(url).list_repo_tree("m", "additional_chat_templates"))
        with pytest.raises(RepositoryNotFoundError):
            hf_hub_download("other", FILES[0], endpoint=url, cache_dir=tmp_path)

    ask(services, question)


@pytest.mark.parametrize(
    "file", ["config.json", "model.safetensors", "../config.json", "%2e%2e/config.json", "/etc/passwd", ""]
)
def test_nothing_else_is_here(services: Services, file: str) -> None:
    """No other file of the checkpoint, and none of the machine."""
    response = call(services, "GET", f"/m/resolve/main/{file}")
    assert (response.status_code, response.json()["error"]["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    "path", ["/m/resolve/main/tokenizer.json", "/api/models/m", "/api/models/m/tree/main"]
)
def test_a_key_is_needed_where_there_are_keys(make_services: MakeServices, path: str) -> None:
    """The hub's token is then the key."""
    services = make_services(ScriptedEngine(), api_key="secret")
    assert call(services, "GET", path).status_code == 401
    assert call(services, "GET", path, headers={"Authorization": "Bearer secret"}).status_code == 200
