"""Settings reach the parts they are meant for."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from phiserve.assembly import (
    _start_engine,
    access_gate,
    check_settings,
    engine_plan,
    model_names,
    start_services,
)
from phiserve.checkpoint.opened import open_checkpoint
from phiserve.config import Settings
from phiserve.engine import start
from phiserve.engine.host import detect_host
from phiserve.errors import StartupError
from phiserve.image_assembly import _image_limits, media_connector
from phiserve.vision.images import ImageService
from scripted import MortalEngine


def test_model_names(tmp_path: Path) -> None:
    """As the settings call it, else the folder's or the repository's name, else the embedded default's."""
    asked = Settings(model=str(tmp_path), served_model_name=("x", "gpt-4o", "x"))
    assert model_names(asked) == ("x", "gpt-4o")
    assert model_names(Settings(model=str(tmp_path))) == (tmp_path.name,)
    repository = "microsoft/Phi-3-vision-128k-instruct"
    assert model_names(Settings(model=repository)) == (repository,)
    assert model_names(Settings()) == ("phiserve-demo",)
    assert model_names(Settings(model="phiserve-blank")) == ("phiserve-blank",)


def test_nothing_is_fetched_by_default(tmp_path: Path) -> None:
    """The web and a folder are asked only where the settings name them."""

    async def run() -> None:
        closed, opened = (
            media_connector(Settings()),
            media_connector(Settings(image_hosts=("a.example",), image_folder=tmp_path)),
        )
        assert (closed.web, closed.folder) == (None, None)
        assert (opened.web is None, opened.folder is None) == (False, False)
        await closed.close()
        await opened.close()

    asyncio.run(run())


@pytest.mark.parametrize(
    "name", ["max_bytes", "max_pixels", "max_aspect_ratio", "max_request_bytes", "max_request_pixels"]
)
def test_limits(name: str) -> None:
    """Every limit is the setting of its name, and by default the limit's own default."""
    setting = (
        name.replace("max_request_", "max_request_image_")
        if "request" in name
        else name.replace("max_", "max_image_")
    )
    assert getattr(_image_limits(Settings.model_validate({setting: 5})), name) == 5
    assert _image_limits(Settings()) == type(_image_limits(Settings()))()


def test_missing_decoders_are_told_before_anything_is_loaded(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A format whose package is not installed stops the start, with the remedy."""
    monkeypatch.setattr("phiserve.codecs.formats.find_spec", lambda name: None)
    with pytest.raises(StartupError, match="pillow-heif"):
        asyncio.run(start_services(Settings(extra_image_formats=("HEIC",)), open_checkpoint(str(checkpoint))))


@pytest.mark.parametrize("named", [True, False])
def test_temperatures_are_read_before_anything_is_loaded(
    named: bool, checkpoint: Path, tmp_path: Path
) -> None:
    """Those that are named, and those of the checkpoint."""
    file = tmp_path / "temperatures.json"
    file.write_text('{"choice": {"2": 0}}')
    settings = Settings(decision_temperatures=file if named else None)
    opened = replace(open_checkpoint(str(checkpoint)), temperatures_json=None if named else file)
    with pytest.raises(StartupError, match=r"temperatures\.json: choice\.2: "):
        asyncio.run(start_services(settings, opened))


def test_hosts_that_never_match_are_told_before_anything_is_loaded() -> None:
    """By the setting and the entry; what can match passes."""
    check_settings(Settings(image_hosts=("*", "images.example.com", "*.BÜCHER.example.")))
    with pytest.raises(StartupError, match=r"Setting image_hosts: .*'10\.0\.0\.1'"):
        check_settings(Settings(image_hosts=("images.example.com", "10.0.0.1")))


def test_keys_are_read_before_anything_is_loaded(tmp_path: Path) -> None:
    """A file that says what it may not, and a Redis that is none, end the start."""
    with pytest.raises(StartupError, match="does not exist"):
        check_settings(Settings(keys_file=tmp_path / "k"))
    (tmp_path / "k").write_text("keys: []")
    check_settings(Settings(keys_file=tmp_path / "k"))
    with pytest.raises(StartupError, match="Setting limits_url"):
        check_settings(Settings(keys_file=tmp_path / "k", limits_url=SecretStr("http://a")))


def test_a_postgresql_needs_a_place_for_files(tmp_path: Path) -> None:
    """Or each of its servers would keep them in a folder of its own."""
    database = SecretStr("postgresql://me@db.example/state")
    with pytest.raises(StartupError, match=r"Setting files_url: .* where state_url is a PostgreSQL"):
        check_settings(Settings(state_url=database))
    for settings in (
        Settings(state_url=database, files_url="off"),
        Settings(state_url=database, files_url=f"file://{tmp_path}"),
        Settings(state_url=SecretStr(f"sqlite:///{tmp_path}/state.db")),
        Settings(state_url=SecretStr("off")),
    ):
        check_settings(settings)


def test_everybody_may_come_in_where_there_are_no_keys() -> None:
    """And with one of the two settings, nobody without a key."""
    assert access_gate(Settings()) is None
    gate = access_gate(Settings(api_key=SecretStr("k")))
    assert gate is not None
    assert gate.key_of(b"k") is not None
    assert gate.key_of(b"") is None


def test_an_engine_does_not_outlive_a_failed_start(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where images can't be decoded, the engine that has started meanwhile is ended, or the process would
    wait for it.
    """
    engine = MortalEngine()

    class Starter:
        def __init__(self, *arguments: object) -> None:
            """Take what a starter takes."""

        async def first(self) -> tuple[MortalEngine, str]:
            return engine, "a report"

    class Undecoded(ImageService):
        async def compile_ahead(self) -> None:
            raise StartupError("The processes that decode images do not start")

    monkeypatch.setattr(start, "EngineStarter", Starter)
    images = object.__new__(Undecoded)
    closed: list[bool] = []
    monkeypatch.setattr(images, "close", lambda: closed.append(True))
    settings, opened = Settings(), open_checkpoint(str(checkpoint))
    plan = engine_plan(settings, opened, detect_host())
    with pytest.raises(StartupError, match="that decode images do not start"):
        asyncio.run(_start_engine(settings, plan, opened, images, None))
    assert (engine.was_shut_down, closed) == (True, [True])
