"""What the engine runs on is found out."""

from phiserve.engine.host import GIB, detect_host


def test_this_host() -> None:
    """The machine the tests run on has a device and memory."""
    host = detect_host()
    assert host.cores >= 1
    assert host.ram_bytes > GIB
