"""What `/v1/models` and `/tokenize` answer: the served model and its limits, a prompt and its costs."""

from typing import Literal

from msgspec import Struct


class RequestLimits(Struct, frozen=True):
    """What one request may hold, by the names that errors use. Files in bytes, images in pixels as shown."""

    max_total_tokens: int
    max_body_bytes: int
    max_images: int
    max_image_bytes: int
    max_image_pixels: int
    max_image_aspect_ratio: float
    max_request_image_bytes: int
    max_request_image_pixels: int
    max_pdf_bytes: int


class Capabilities(Struct, frozen=True):
    """What Open WebUI may ask for: images, and the usage of a stream.

    Else it would send tools of its own with every chat.
    """

    vision: bool = True
    usage: bool = True
    builtin_tools: bool = False


class ModelMeta(Struct, frozen=True):
    """Open WebUI's place for capabilities."""

    capabilities: Capabilities = Capabilities()


class ModelInfo(Struct, frozen=True):
    """Open WebUI's place for what it knows about a model."""

    meta: ModelMeta = ModelMeta()


class ModelCard(Struct, frozen=True):
    """A served model: OpenAI's keys, vLLM's `max_model_len` and what else a client must know."""

    id: str
    created: int
    max_model_len: int
    max_crops: int
    input_modalities: list[str]
    limits: RequestLimits
    description: str
    object: Literal["model"] = "model"
    owned_by: str = "phiserve"
    info: ModelInfo = ModelInfo()


class ModelList(Struct, frozen=True):
    """All served models."""

    data: list[ModelCard]
    object: Literal["list"] = "list"


class TokenizedImage(Struct, frozen=True):
    """Where an image stands in the prompt and what it costs. Sizes are [width, height] in pixels."""

    offset: int
    tokens: int
    crops: int
    size: list[int]
    padded_size: list[int]


class Tokenized(Struct, frozen=True):
    """The prompt as the model would see it; `count`, `max_model_len` and `tokens` as vLLM names them."""

    count: int
    max_model_len: int
    tokens: list[int]
    images: list[TokenizedImage]
