"""What routes ask of the services themselves."""

from collections.abc import Callable

import pytest

from phiserve.api.services import Services
from phiserve.errors import ModelNotFound
from scripted import ScriptedEngine


def test_model_name(make_services: Callable[..., Services]) -> None:
    """The served name passes; another is refused without being repeated at any length."""
    services = make_services(ScriptedEngine())
    assert services.check_model("m") == "m"
    with pytest.raises(ModelNotFound) as caught:
        services.check_model("x" * 10_000)
    assert len(caught.value.message) < 300
    assert caught.value.param == "model"


def test_several_names(make_services: Callable[..., Services]) -> None:
    """Each is answered with as it was asked for, none with the main one; a refusal lists all."""
    services = make_services(ScriptedEngine(), served_model_name=["gpt-4o", "owner/m"])
    asked = [None, "m", "gpt-4o", "owner/m"]
    assert list(map(services.check_model, asked)) == ["m", "m", "gpt-4o", "owner/m"]
    with pytest.raises(ModelNotFound, match=r"serves 'm' or 'gpt-4o' or 'owner/m'$"):
        services.check_model("gpt-5")
