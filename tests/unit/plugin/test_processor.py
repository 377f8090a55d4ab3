"""What vLLM is told of images before any arrives."""

from types import SimpleNamespace

import pytest

from phiserve.plugin.processor import (
    Phi3VDummyInputsBuilder,
    Phi3VProcessingInfo,
    Phi3VProcessor,
    encode_slice_s,
)
from phiserve.vision.sizes import most_image_tokens, plan_crops


def processor(kwargs: dict[str, int] | None) -> Phi3VProcessor:
    """A processor in an engine configured with these processor arguments."""
    mm_config = SimpleNamespace(
        mm_processor_kwargs=kwargs, enable_mm_embeds=False, allow_missing_mm_embeddings=False
    )
    model_config = SimpleNamespace(get_multimodal_config=lambda: mm_config, multimodal_config=mm_config)
    context = SimpleNamespace(model_config=model_config, tokenizer=object(), get_mm_config=lambda: mm_config)
    info = Phi3VProcessingInfo(context)
    return Phi3VProcessor(info, Phi3VDummyInputsBuilder(info))


@pytest.mark.parametrize(
    ("kwargs", "max_crops"), [({"num_crops": 4}, 4), ({"num_crops": 16}, 16), (None, 16), ({}, 16)]
)
def test_largest_image(kwargs: dict[str, int] | None, max_crops: int) -> None:
    """`max_crops` comes from the engine's configuration; the profiled image reaches the most tokens and the
    most crops.
    """
    subject = processor(kwargs)
    most = subject.info.get_mm_max_tokens_per_item(4096, {"image": 1})["image"]
    inputs = subject.get_dummy_mm_inputs({"image": 1})
    item = inputs["mm_kwargs"]["image"][0].get_data()
    (placeholder,) = inputs["mm_placeholders"]["image"]
    assert most == most_image_tokens(max_crops) == placeholder.length == len(inputs["prompt_token_ids"])
    assert item["crops"].shape == (max_crops, 336, 336, 3)
    assert item["image_sizes"].tolist() == [max_crops * 336, 336]
    assert plan_crops(50, 8000, max_crops).num_tokens == most


def test_slices() -> None:
    """Milliseconds in the engine's configuration, seconds here."""
    mm_config = SimpleNamespace(mm_processor_kwargs={"num_crops": 4, "encode_slice_ms": 12.5})
    assert encode_slice_s(SimpleNamespace(get_multimodal_config=lambda: mm_config)) == 0.0125


def test_requests_never_come_this_way() -> None:
    """Raw images are refused rather than processed by other code than ours."""
    with pytest.raises(NotImplementedError):
        processor(None).apply(None, None)
