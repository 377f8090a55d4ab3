"""Contents of files in a bucket of moto's server."""

import asyncio
import logging
from contextlib import aclosing

import obstore
import pytest

from phiserve.errors import StartupError, StoreFailure
from phiserve.files import bucket as module
from phiserve.files.blobs import MARKER_NAME, SEGMENT_BYTES, BlobGone
from phiserve.files.bucket import BucketBlobs
from unit.files.conftest import S3Server


async def content(blobs: BucketBlobs, name: str, num_bytes: int) -> bytes:
    """All of a content."""
    async with aclosing(blobs.read(name, num_bytes)) as parts:
        return b"".join([part async for part in parts])


def test_objects(s3: S3Server) -> None:
    """One for each segment, below the prefix; all go together, others stay."""
    bucket = s3.new_bucket()

    async def run() -> None:
        blobs = BucketBlobs.at(f"s3://{bucket}/a/b")
        blobs.prepare()
        await blobs.write("x", 0, bytes(SEGMENT_BYTES))
        await blobs.write("x", 1, b"end")
        await blobs.write("xy", 0, b"other")
        assert await content(blobs, "x", SEGMENT_BYTES + 3) == bytes(SEGMENT_BYTES) + b"end"
        whole = BucketBlobs.at(f"s3://{bucket}")
        listed = obstore.list(whole._store).collect()
        assert sorted(meta["path"] for meta in listed) == ["a/b/x/00000", "a/b/x/00001", "a/b/xy/00000"]
        await blobs.delete("x")
        await blobs.delete("x")
        assert [meta["path"] for meta in obstore.list(whole._store).collect()] == ["a/b/xy/00000"]
        for name, size in (("x", 1), ("xy", 6)):
            with pytest.raises(BlobGone):
                await content(blobs, name, size)

    asyncio.run(run())


def test_a_bucket_that_is_gone(s3: S3Server) -> None:
    """503 for what is to be written or removed; that the rest is not there is for `MarkedBlobs` to judge."""

    async def run() -> None:
        blobs = BucketBlobs.at("s3://gone/prefix")
        for working in (blobs.write("x", 0, b"x"), blobs.delete("x")):
            with pytest.raises(StoreFailure):
                await working
        assert blobs.marker() is None
        with pytest.raises(StoreFailure):
            blobs.mark("x")
        with pytest.raises(BlobGone):
            await content(blobs, "x", 1)

    asyncio.run(run())


def test_buckets_that_cannot_be_used(
    s3: S3Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Told at the start with the place, and later with 503."""
    monkeypatch.setattr(module, "_MAX_RETRIES", 0)
    with pytest.raises(StartupError, match="404 Not Found") as caught:
        BucketBlobs.at("s3://nosuch/prefix").prepare()
    assert "s3://nosuch/prefix" in str(caught.value)
    assert "set files_url to another place" in str(caught.value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    gone = BucketBlobs.at("s3://bucket")
    with pytest.raises(StartupError, match="s3://bucket"):
        gone.prepare()
    with caplog.at_level(logging.WARNING), pytest.raises(StoreFailure):
        asyncio.run(gone.write("x", 0, b"x"))
    assert "failed in s3://bucket" in caplog.text


def test_a_marker(s3: S3Server) -> None:
    """Below the prefix; it can be written by hand."""
    bucket = s3.new_bucket()
    blobs = BucketBlobs.at(f"s3://{bucket}/a")
    assert blobs.marker() is None
    blobs.mark("x")
    assert (blobs.marker(), BucketBlobs.at(f"s3://{bucket}").marker()) == ("x", None)
    obstore.put(blobs._store, MARKER_NAME, b"y")
    assert blobs.marker() == "y"


@pytest.mark.parametrize(
    ("denied", "does"), [("PutObject", "put"), ("GetObject", "get"), ("DeleteObject", "delete")]
)
def test_credentials_that_allow_less(s3: S3Server, denied: str, does: str) -> None:
    """Told at the start, not by the first upload, or never for what is to be removed."""
    bucket = s3.new_bucket()
    blobs = BucketBlobs.at(f"s3://{bucket}/a")
    blobs.prepare()
    assert obstore.list(blobs._store).collect() == []
    s3.deny(bucket, denied)
    with pytest.raises(
        StartupError, match=rf"s3://{bucket}/a: to {does} objects fails: .*(403|AccessDenied)"
    ) as caught:
        blobs.prepare()
    assert "set files_url to another place" in str(caught.value)


def test_parts(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any bytes of a content, from one object or several; what is not there is told."""
    monkeypatch.setattr("phiserve.files.bucket.SEGMENT_BYTES", 4)

    async def run() -> None:
        blobs = BucketBlobs.at(f"s3://{s3.new_bucket()}/a")
        for number, segment in enumerate((b"0123", b"4567", b"89")):
            await blobs.write("ab", number, segment)
        for offset, length in ((0, 2), (3, 1), (2, 7), (0, 10), (10, 0)):
            assert await blobs.read_part("ab", offset, length) == b"0123456789"[offset : offset + length]
        for name, offset in (("ab", 8), ("ac", 0)):
            with pytest.raises(BlobGone):
                await blobs.read_part(name, offset, 3)

    asyncio.run(run())
