"""The in-model path: normalisation, the global view, and images that are encoded already or in part."""

import json
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from transformers import CLIPVisionConfig
from vllm.config import VllmConfig, set_current_vllm_config
from vllm.distributed import parallel_state
from vllm.model_executor.models import phi3v
from vllm.model_executor.models.clip import CLIPVisionModel

from images import noise
from phiserve.codecs import parse
from phiserve.plugin import model as module
from phiserve.plugin.model import Phi3VForCausalLM, global_view, normalise, tower_input
from phiserve.plugin.partial_encoding import Encoding, PartialEncoder, PartialEncoding
from phiserve.vision.crops import cut_crops
from phiserve.vision.normalisation import IMAGE_MEAN, IMAGE_STD
from phiserve.vision.sizes import plan_crops


def whole_input(crops: torch.Tensor, padded_hw: Sequence[int]) -> torch.Tensor:
    """What CLIP sees of an image."""
    return PartialEncoding(tower_input(crops, padded_hw)).finish_begun()


def test_golden_global_view(golden: Path) -> None:
    """Samples, mean and deviation of the reference's global view, within 1e-3."""
    for vector in json.loads((golden / "pixels.json").read_text()):
        image = parse((golden / vector["file"]).read_bytes())
        plan = plan_crops(*image.size, vector["num_crops"])
        crops = torch.from_numpy(cut_crops(image.decode(), plan))
        view = whole_input(crops, vector["image_size_hw"])[0]
        for channel, row, column, value in vector["global_view_samples"]:
            assert view[channel, row, column].item() == pytest.approx(value, abs=1e-3)
        assert view.mean((1, 2)).tolist() == pytest.approx(vector["global_view_mean"], abs=1e-3)
        assert view.std((1, 2)).tolist() == pytest.approx(vector["global_view_std"], abs=1e-3)


@pytest.mark.parametrize("size", [(640, 480), (480, 640), (900, 100), (20, 20)])
def test_same_as_the_plain_steps(size: tuple[int, int]) -> None:
    """The global view of the reassembled crops is that of the padded image, and the crops follow it."""
    plan = plan_crops(*size, 16)
    crops = cut_crops(np.array(noise(*size)), plan)
    grid = crops.reshape(plan.rows, plan.columns, 336, 336, 3).transpose(0, 2, 1, 3, 4)
    padded = torch.from_numpy(np.ascontiguousarray(grid.reshape(plan.rows * 336, plan.columns * 336, 3)))
    mean, std = torch.tensor(IMAGE_MEAN), torch.tensor(IMAGE_STD)
    normalised = ((padded / 255 - mean) / std).permute(2, 0, 1).unsqueeze(0)
    result = whole_input(torch.from_numpy(crops), plan.padded[::-1])
    assert torch.allclose(
        result[0], functional.interpolate(normalised, (336, 336), mode="bicubic")[0], atol=1e-5
    )
    assert torch.allclose(result[1], normalised[0, :, :336, :336], atol=1e-6)
    assert len(result) == plan.num_crops + 1


def test_one_crop_is_its_own_global_view() -> None:
    """Scaling 336 x 336 to itself changes no bit, so that CLIP need not see it twice."""
    crops = torch.from_numpy(cut_crops(np.array(noise(500, 300)), plan_crops(500, 300, 1)))
    normalised = normalise(crops)
    assert torch.equal(global_view(normalised[:, 0], 1, 1), normalised[:, 0])
    assert torch.equal(whole_input(crops, (336, 336)), normalised)


class SmallTower(phi3v.Phi3HDImageEmbedding):  # type: ignore[misc]  # vLLM has no types
    """vLLM's vision tower and projection, with the mean colours of patches in place of CLIP; counts crops."""

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.hd_transform_order = "sub_glb"
        self.glb_GN = nn.Parameter(torch.ones(1, 1, 4096))
        self.sub_GN = nn.Parameter(torch.ones(1, 1, 1, 4096))
        self.img_projection = nn.Sequential(nn.Linear(4096, 8))
        self.num_crops = 0

    def get_img_features(self, img_embeds: torch.Tensor) -> torch.Tensor:
        """(n, 3, 336, 336) -> (n, 576, 1024)"""
        self.num_crops += len(img_embeds)
        colours = functional.avg_pool2d(img_embeds, 14).flatten(2).transpose(1, 2)
        return colours.repeat(1, 1, 342)[..., :1024]


@pytest.fixture
def model() -> Phi3VForCausalLM:
    """The model without its decoder."""
    model = Phi3VForCausalLM.__new__(Phi3VForCausalLM)
    nn.Module.__init__(model)
    model.vision_embed_tokens = SmallTower()
    return model


@torch.inference_mode()
def test_only_what_is_missing_is_encoded(model: Phi3VForCausalLM, monkeypatch: pytest.MonkeyPatch) -> None:
    """One image complete, one paused after a crop, one unknown, one of a single crop: the same embeddings as
    when all are encoded at once.
    """
    encoder = PartialEncoder()
    monkeypatch.setattr(module, "PARTIAL_ENCODER", encoder)
    most = {(640, 480): 4, (480, 640): 4, (900, 100): 4, (300, 300): 1}
    plans = [plan_crops(*size, max_crops) for size, max_crops in most.items()]
    crops = [
        torch.from_numpy(cut_crops(np.array(noise(*size)), plan))
        for size, plan in zip(most, plans, strict=True)
    ]
    sizes = torch.tensor([plan.padded[::-1] for plan in plans])
    ids = torch.tensor([[number, number] for number in range(4)])
    whole = model.embed_multimodal(crops=crops, image_sizes=sizes, image_ids=ids)
    tower = model.vision_embed_tokens
    assert tower.num_crops == sum(map(len, crops)) + 3  # global views of those of several crops
    assert [len(embedding) for embedding in whole] == [plan.num_tokens for plan in plans]

    def clip_parts(crops: torch.Tensor) -> Encoding:
        yield "first"
        yield "second"
        return model.clip_features(crops)

    for number, slice_s in ((0, 60.0), (1, -1.0)):
        encoder.start(clip_parts, slice_s)
        encoder.begin_step()
        encoder.request((number, number), partial(tower_input, crops[number], plans[number].padded[::-1]))
        for _ in range(len(crops[number]) + 3 + 3):  # with no time, a part at each
            encoder.advance()
    encoded, tower.num_crops = len(crops[0]) + 2, 0
    again = model.embed_multimodal(crops=crops, image_sizes=sizes, image_ids=ids)
    assert tower.num_crops == sum(map(len, crops)) + 3 - encoded
    for one, other in zip(whole, again, strict=True):
        assert torch.allclose(one, other)
    assert encoder.take((1, 1)) is None


@pytest.fixture
def small_clip(tmp_path: Path) -> Iterator[CLIPVisionModel]:
    """vLLM's CLIP without its last layer, as Phi-3-vision has it; small, with random weights."""
    config = CLIPVisionConfig(
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=4,
        num_attention_heads=4,
        image_size=336,
        patch_size=14,
    )
    with set_current_vllm_config(VllmConfig()):
        parallel_state.init_distributed_environment(1, 0, f"file://{tmp_path}/store", 0, "gloo")
        parallel_state.initialize_model_parallel(1, 1)
        clip = CLIPVisionModel(config, num_hidden_layers_override=3)
        for parameter in clip.parameters():
            nn.init.normal_(parameter, std=0.05)
        for module in clip.modules():
            if (method := getattr(module, "quant_method", None)) is not None:
                method.process_weights_after_loading(module)
        yield clip
        parallel_state.destroy_model_parallel()
        parallel_state.destroy_distributed_environment()


@torch.inference_mode()
def test_pauses_change_nothing(model: Phi3VForCausalLM, small_clip: CLIPVisionModel) -> None:
    """CLIP part by part gives what vLLM's own pass through it gives, bit for bit."""
    tower = model.vision_embed_tokens
    tower.img_processor, tower.type_feature = small_clip, "patch"
    crops = torch.randn(2, 3, 336, 336)
    encoding, parts = model.clip_parts(crops), []
    while True:
        try:
            parts.append(next(encoding))
        except StopIteration as end:
            features = end.value
            break
    assert parts == ["embeddings", *["projections", "attention", "widening", "narrowing"] * 3]
    assert torch.equal(features, phi3v.Phi3HDImageEmbedding.get_img_features(tower, crops))


def test_no_images(model: Phi3VForCausalLM) -> None:
    """vLLM asks for the embeddings of a prompt without images too."""
    assert model.embed_multimodal() == []
