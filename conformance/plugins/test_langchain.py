"""LangChain's standard tests for chat models, for its ChatOpenAI at our server. What is declared here is what
the server does.
"""

import os
from typing import Any

import httpx
import pytest
from langchain_core.language_models import BaseChatModel
from langchain_openai import ChatOpenAI
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests

from conformance.plugins.images import image

QUOTE_ID = "28739"
"""The id of `"` to the blank checkpoint: random weights seldom end a string by themselves, and then no JSON
is complete."""


class TestUnit(ChatModelUnitTests):
    """What needs no server."""

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatOpenAI

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": os.environ["CONFORMANCE_MODEL"], "api_key": "none"}

    @property
    def has_tool_calling(self) -> bool:
        return True


class TestIntegration(ChatModelIntegrationTests):
    """What does."""

    @pytest.fixture(autouse=True)
    def _no_internet(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The one image that the tests download, on the client's side, is one of ours."""

        def get(url: str, **options: Any) -> httpx.Response:
            return httpx.Response(200, content=image("png"))

        monkeypatch.setattr("langchain_tests.integration_tests.chat_models.httpx.get", get)

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatOpenAI

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {
            "model": os.environ["CONFORMANCE_MODEL"],
            "base_url": f"{os.environ['CONFORMANCE_URL']}/v1",
            "api_key": "none",
            "max_tokens": 100,
            "temperature": 1,
            "seed": 0,
            "stream_usage": True,
            "logit_bias": {QUOTE_ID: 10},
        }

    @property
    def has_tool_calling(self) -> bool:
        return True

    @property
    def has_tool_choice(self) -> bool:
        return True

    @property
    def has_structured_output(self) -> bool:
        return True

    @property
    def structured_output_kwargs(self) -> dict[str, Any]:
        return {"method": "json_schema"}

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def supports_image_inputs(self) -> bool:
        return True

    @property
    def supports_image_tool_message(self) -> bool:
        return True

    @property
    def supports_image_urls(self) -> bool:
        return False

    @property
    def model_override_value(self) -> str:
        """The server serves one model, so that the other name is its own."""
        return os.environ["CONFORMANCE_MODEL"]
