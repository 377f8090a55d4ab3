"""Files by openai's client on a real server: uploaded, shown, and whole after the server was killed."""

import hashlib
import re
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openai
import pytest

from e2e.conftest import MODEL
from e2e.processes import wait_until
from e2e.running import ServerProcess, server_process
from images import encode, noise
from kept_files import Place, content_of, in_folder, on_files
from phiserve.files.keeping import FileKeeper

IMAGE = encode(noise(350, 340, seed=16))
MIB = 2**20
LARGE_BYTES = 300 * MIB + 17
MOST_GROWTH = 100 * MIB
"""Far less than a large file has, far more than what is held of it."""


def metric(server: ServerProcess, name: str) -> float:
    """A counter of the server's."""
    found = re.search(rf"^{name} (\S+)$", httpx.get(f"{server.url}/metrics").text, re.M)
    return float(found[1]) if found else 0.0


def peak_bytes(server: ServerProcess) -> int:
    """The most memory that the server's own process has had."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) * 1024


@pytest.fixture
def large_file(tmp_path: Path) -> Path:
    """A file that is no part of anything else."""
    path = tmp_path / "large.bin"
    path.write_bytes(np.random.default_rng(1).bytes(LARGE_BYTES))
    return path


def test_files(tmp_path: Path, large_file: Path) -> None:
    """All of the client's `files` and `uploads`; then the server is killed while it receives another file."""
    settings = {"PHISERVE_STATE_URL": f"sqlite:///{tmp_path / 'state.db'}"}
    place = Place(settings["PHISERVE_STATE_URL"], f"file://{tmp_path}/files", in_folder(tmp_path / "files"))
    with server_process("--engine", "max_model_len=1152", **settings) as server:
        server.wait_until_ready()
        client = openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0, timeout=300)
        image = _uploaded_and_deleted(client)
        _shown(server, client, image)
        large = _large(server, client, large_file)
        receiving = threading.Thread(target=_send_half, args=(server, stopped := threading.Event()))
        receiving.start()
        wait_until(lambda: len(place.contents()) == 3)
        server.stop(signal.SIGKILL)
        stopped.set()
        receiving.join()
        client.close()
    contents = {image: IMAGE, large: large_file.read_bytes()}

    async def check(keeper: FileKeeper) -> None:
        page = await keeper.records.page("", None, None, 10, "asc")
        assert page is not None
        assert {file.id: await content_of(keeper, file) for file in page.files} == contents
        await keeper.clear_away(stale_s=0)
        assert len(place.contents()) == 2

    on_files(place, check)


def _uploaded_and_deleted(client: openai.OpenAI) -> str:
    """The id of an image that stays, after another went."""
    ids = []
    for name in ("a.png", "b.png"):
        made = client.files.create(
            file=(name, IMAGE),
            purpose="vision",
            expires_after={"anchor": "created_at", "seconds": 86_400},
        )
        assert (made.bytes, made.filename, made.purpose) == (len(IMAGE), name, "vision")
        assert made.expires_at == made.created_at + 86_400
        assert client.files.retrieve(made.id) == made
        assert client.files.content(made.id).read() == IMAGE
        ids.append(made.id)
    assert [file.id for file in client.files.list(limit=1)] == ids[::-1]  # pages are fetched by the client
    assert client.files.delete(ids[1]).deleted
    with pytest.raises(openai.NotFoundError, match="No such File object"):
        client.files.retrieve(ids[1])
    assert [file.id for file in client.files.list(purpose="vision")] == [ids[0]]
    return ids[0]


def _shown(server: ServerProcess, client: openai.OpenAI, file_id: str) -> None:
    """An uploaded image is decoded once, however often and wherever it is shown."""
    before = metric(server, "phiserve_images_decoded_total")
    part: Any = {"type": "image_file", "image_file": {"file_id": file_id}}
    shown: Any = [
        {"role": "user", "content": [{"type": "input_image", "file_id": file_id, "detail": "auto"}]}
    ]
    for _ in range(2):
        chat = client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": [part]}], max_tokens=1
        )
        response = client.responses.create(model=MODEL, input=shown, max_output_tokens=16)
        assert chat.usage is not None
        assert response.usage is not None
        assert chat.usage.prompt_tokens == response.usage.input_tokens > 100
    assert metric(server, "phiserve_images_decoded_total") - before == 1


def _large(server: ServerProcess, client: openai.OpenAI, file: Path) -> str:
    """The id of a large file that was uploaded in parts; equal to one that came at once, it is kept once."""
    before = peak_bytes(server)
    at_once = client.files.create(file=file, purpose="user_data")
    md5 = hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()
    upload = client.uploads.upload_file_chunked(
        file=file, mime_type="application/octet-stream", purpose="user_data", md5=md5
    )
    assert upload.status == "completed"
    assert upload.file is not None
    assert upload.file.bytes == LARGE_BYTES
    with client.files.with_streaming_response.content(upload.file.id) as response:
        assert sum(map(len, response.iter_bytes())) == LARGE_BYTES
    assert peak_bytes(server) - before < MOST_GROWTH
    client.files.delete(at_once.id)
    cancelled = client.uploads.create(bytes=1, filename="c", mime_type="text/plain", purpose="batch")
    assert client.uploads.cancel(cancelled.id).status == "cancelled"
    return upload.file.id


def _send_half(server: ServerProcess, stopped: threading.Event) -> None:
    """Send much of a file, and wait for the server's end."""

    def body() -> Iterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="half"\r\n\r\n'
        for _ in range(20):
            yield bytes(MIB)
        stopped.wait()

    with pytest.raises(httpx.HTTPError):
        httpx.post(
            f"{server.url}/v1/files",
            content=body(),
            headers={"content-type": "multipart/form-data; boundary=x"},
            timeout=60,
        )
