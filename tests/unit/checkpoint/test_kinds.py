"""A checkpoint says what it is."""

import pytest

from phiserve.checkpoint.kinds import CheckpointKind


@pytest.mark.parametrize("kind", [CheckpointKind.DEMO, CheckpointKind.BLANK])
def test_our_own(kind: CheckpointKind) -> None:
    """Are marked in config.json, and described as what they are not."""
    assert CheckpointKind.of({"model_type": "phi3_v", kind.value: True}) is kind
    assert not kind.is_real
    assert kind.description != CheckpointKind.PHI3_VISION.description


def test_the_real_model() -> None:
    """Is what has no mark, or one that is not set."""
    for config in ({}, {"model_type": "phi3_v"}, {"phiserve_demo": False}):
        assert CheckpointKind.of(config) is CheckpointKind.PHI3_VISION
    assert CheckpointKind.PHI3_VISION.is_real
    assert CheckpointKind.PHI3_VISION.description == "Phi-3-vision"


def test_every_kind_is_described() -> None:
    """In one sentence each."""
    assert len({kind.description for kind in CheckpointKind}) == len(CheckpointKind)
