"""What routes ask of the services themselves."""

from collections.abc import Callable

import pytest

from phiserve.api.services import Services
from phiserve.errors import ModelNotFound
from scripted import ScriptedEngine


def test_model_name(make_services: Callable[..., Services]) -> None:
    """The served name passes; another is refused without being repeated at any length."""
    services = make_services(ScriptedEngine())
    services.check_model("m")
    with pytest.raises(ModelNotFound) as caught:
        services.check_model("x" * 10_000)
    assert len(caught.value.message) < 300
    assert caught.value.param == "model"
