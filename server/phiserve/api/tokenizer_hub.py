"""The tokenizer for programs that look for it on a hub, as `huggingface_hub` asks for it.

With `HF_ENDPOINT` naming this server, `AutoTokenizer.from_pretrained` finds the tokenizer of a served model
by its name. Only the tokenizer's files are here.
"""

from fastapi import APIRouter, Request, Response

from phiserve.api.services import services_of
from phiserve.checkpoint.tokenizer_repository import TokenizerRepository, digest
from phiserve.errors import ModelNotFound, NotFound, shortened
from phiserve.protocol.events import encode_json

router = APIRouter(include_in_schema=False)  # the wire format is the hub's, not ours to describe

_MAIN = "main"
_NO_REPOSITORY, _NO_REVISION, _NO_FILE = "RepoNotFound", "RevisionNotFound", "EntryNotFound"
"""A hub's words for what is missing; by the last its clients go on without a file that need not be there."""


class _Missing(NotFound):
    """What a hub's client is told is not there; `commit` is the one that lacks a file."""

    def __init__(self, reason: str, word: str = _NO_FILE, commit: str | None = None) -> None:
        super().__init__(reason)
        self._word, self._commit = word, commit

    @property
    def headers(self) -> dict[str, str]:
        """The hub's word for it, and where it is missing, which clients remember."""
        return {"x-error-code": self._word} | _commit_header(self._commit)


@router.get("/{name:path}/resolve/{revision}/{file:path}")
async def resolve_file(request: Request, name: str, revision: str, file: str) -> Response:
    """A file of the tokenizer."""
    repository = _repository(request, name, revision)
    content = repository.files.get(file)
    if content is None:
        raise _Missing(f"The tokenizer has no file {shortened(file)!r}", _NO_FILE, repository.commit)
    headers = {"etag": f'"{digest(content)}"'} | _commit_header(repository.commit)
    return Response(content, headers=headers, media_type="application/octet-stream")


@router.get("/api/models/{name:path}/tree/{revision}")
@router.get("/api/models/{name:path}/tree/{revision}/{folder:path}")
async def list_files(request: Request, name: str, revision: str, folder: str = "") -> Response:
    """The files' names and sizes; there are no folders."""
    repository = _repository(request, name, revision)
    if folder:
        raise _Missing(f"The tokenizer has no folder {shortened(folder)!r}", _NO_FILE, repository.commit)
    files = [
        {"type": "file", "path": file, "size": len(content), "oid": digest(content)}
        for file, content in repository.files.items()
    ]
    return Response(encode_json(files), media_type="application/json")


@router.get("/api/models/{name:path}")  # decorators work upwards: tried after the longer one
@router.get("/api/models/{name:path}/revision/{revision}")
async def describe_repository(request: Request, name: str, revision: str = _MAIN) -> Response:
    """What a hub tells of a repository, as far as it is about files."""
    repository = _repository(request, name, revision)
    described = {
        "id": name,
        "modelId": name,
        "sha": repository.commit,
        "private": False,
        "tags": [],
        "siblings": [{"rfilename": file} for file in repository.files],
    }
    return Response(encode_json(described), media_type="application/json")


def _repository(request: Request, name: str, revision: str) -> TokenizerRepository:
    """The tokenizer of a served model. Raises _Missing for any other, and for a revision that never was."""
    services = services_of(request)
    try:
        services.check_model(name)
    except ModelNotFound as error:
        raise _Missing(error.reason, _NO_REPOSITORY) from error
    repository = services.tokenizer
    if repository is None:
        raise _Missing("This server hands out no tokenizer", _NO_REPOSITORY)
    if revision not in (_MAIN, repository.commit):
        raise _Missing(f"The tokenizer has no revision {shortened(revision)!r}", _NO_REVISION)
    return repository


def _commit_header(commit: str | None) -> dict[str, str]:
    return {} if commit is None else {"x-repo-commit": commit}
