"""Phi-3-vision for vLLM: the stock model, fed with uint8 crops of varying number per image.

Normalisation and the global view happen here, beside the vision tower, so that the API process sends a
quarter of the bytes float32 crops would take, and CLIP sees real crops only, never padding.
"""

from collections.abc import Generator, Sequence
from typing import cast

import torch
from torch.nn import functional
from vllm.config import VllmConfig
from vllm.model_executor.models import clip, phi3v
from vllm.multimodal import MULTIMODAL_REGISTRY

from phiserve.plugin.partial_encoding import PARTIAL_ENCODER, Encoding, PartialEncoding
from phiserve.plugin.processor import Phi3VDummyInputsBuilder, Phi3VProcessingInfo, Phi3VProcessor
from phiserve.vision.normalisation import IMAGE_MEAN, IMAGE_STD
from phiserve.vision.sizes import CROP_SIDE

CLIP_MICRO_BATCH = 32
"""Largest number of crops in one pass through CLIP: bounds its memory however many images a step holds."""


def normalise(crops: torch.Tensor) -> torch.Tensor:
    """Normalise crops as the reference's image processor does.

    uint8 (n, 336, 336, 3) -> float32 (n, 3, 336, 336).
    """
    mean = torch.tensor(IMAGE_MEAN, device=crops.device).view(3, 1, 1)
    std = torch.tensor(IMAGE_STD, device=crops.device).view(3, 1, 1)
    return crops.permute(0, 3, 1, 2).contiguous().float().div_(255).sub_(mean).div_(std)


def global_view(normalised: torch.Tensor, columns: int, rows: int) -> torch.Tensor:
    """One channel of the whole padded image at 336 x 336: (n, 336, 336) of crops, row-major -> (1, 336, 336).

    Bicubic and without antialiasing, as the reference's image processor scales it.
    """
    image = normalised.unflatten(0, (rows, columns)).transpose(1, 2)
    image = image.reshape(1, 1, rows * CROP_SIDE, columns * CROP_SIDE)
    return functional.interpolate(image, size=(CROP_SIDE, CROP_SIDE), mode="bicubic")[0]


def tower_input(crops: torch.Tensor, padded_hw: Sequence[int]) -> Encoding:
    """Makes the input for CLIP of one image: the global view, then the crops; float32 (1 + n, 3, 336, 336).

    `crops` is uint8 (n, 336, 336, 3), row-major; `padded_hw` the padded image's height and width. An image of
    one crop is its own global view, bit for bit, and is encoded once: (1, 3, 336, 336).
    """
    height, width = padded_hw
    is_alone = len(crops) == 1
    views = torch.empty(len(crops) + (not is_alone), 3, CROP_SIDE, CROP_SIDE, device=crops.device)
    normalised = views if is_alone else views[1:]
    for number in range(len(crops)):
        yield "normalising"
        normalised[number] = normalise(crops[number : number + 1])[0]
    for channel in range(0 if is_alone else 3):
        yield "global view"
        views[:1, channel] = global_view(normalised[:, channel], width // CROP_SIDE, height // CROP_SIDE)
    return views


def _all_views(features: torch.Tensor) -> torch.Tensor:
    """Features of the global view and of the crops, (1 + n, 576, 1024), from those of a `tower_input`."""
    return features if len(features) > 1 else features.expand(2, -1, -1)


def _layer_parts(layer: clip.CLIPEncoderLayer, hidden: torch.Tensor) -> Generator[str, None, torch.Tensor]:
    """One of CLIP's layers, (n, 577, 1024) -> the same, as vLLM computes it, with a pause before each part.

    The parts take about as long: 4.8 GFLOP a crop the widest, 3.5 the narrowest, of 16 for the layer.
    """
    attention, mlp = layer.self_attn, layer.mlp
    yield "projections"
    projected, _ = attention.qkv_proj(layer.layer_norm1(hidden))
    yield "attention"
    attended, _ = attention.out_proj(attention.attn(*projected.chunk(3, dim=-1)))
    hidden = hidden + attended
    del projected, attended  # they would be kept during pauses
    yield "widening"
    wide, _ = mlp.fc1(layer.layer_norm2(hidden))
    wide = mlp.activation_fn(wide)
    yield "narrowing"
    narrow, _ = mlp.fc2(wide)
    return hidden + narrow


@MULTIMODAL_REGISTRY.register_processor(
    Phi3VProcessor, info=Phi3VProcessingInfo, dummy_inputs=Phi3VDummyInputsBuilder
)
class Phi3VForCausalLM(phi3v.Phi3VForCausalLM):
    """vLLM's own Phi-3-vision, which takes images as uint8 crops; weights load unchanged."""

    def __init__(self, *, vllm_config: VllmConfig, prefix: str = "") -> None:
        super().__init__(vllm_config=vllm_config, prefix=prefix)
        if vllm_config.quant_config is not None:
            from phiserve.plugin.quantized_tower import take_rows

            take_rows(self.vision_embed_tokens)

    def embed_multimodal(self, **kwargs: object) -> list[torch.Tensor]:
        """Embed images of one or several requests, encoding only the crops that have no features yet.

        `crops`: uint8, a list of (n_i, 336, 336, 3) or one stacked (b, n, 336, 336, 3). `image_sizes`: (b,
        2), height and width of the padded images. `image_ids`: (b, 2), see `processor.image_item`. Returns
        one (tokens_i, hidden) tensor for each image.
        """
        if "crops" not in kwargs:
            return []
        crops = cast("Sequence[torch.Tensor]", kwargs["crops"])  # a stacked tensor iterates over images too
        sizes = torch.as_tensor(kwargs["image_sizes"]).tolist()
        ids = torch.as_tensor(kwargs["image_ids"]).tolist()
        encodings = [
            PARTIAL_ENCODER.take(tuple(image_id)) or PartialEncoding(tower_input(image, size))
            for image_id, image, size in zip(ids, crops, sizes, strict=True)
        ]
        self._complete(encodings)
        return [
            self.vision_embed_tokens.hd_feature_transform(
                _all_views(torch.cat(encoding.features)).unsqueeze(0), torch.tensor([size])
            )[0]
            for encoding, size in zip(encodings, sizes, strict=True)
        ]

    def _complete(self, encodings: Sequence[PartialEncoding]) -> None:
        """Encode the crops of all images that are still to be encoded, in common batches."""
        remaining = [encoding.finish_begun() for encoding in encodings]
        features = self.clip_features(torch.cat(remaining)).split(list(map(len, remaining)))
        for encoding, its_features in zip(encodings, features, strict=True):
            encoding.features.append(its_features)

    def clip_parts(self, crops: torch.Tensor) -> Encoding:
        """What `clip_features` computes of at most `CLIP_MICRO_BATCH` crops, with a pause before each part.

        The same operations in the same order as vLLM's, so that all bits are the same.
        """
        tower = self.vision_embed_tokens
        transformer = tower.img_processor.vision_model
        yield "embeddings"
        hidden = transformer.pre_layrnorm(transformer.embeddings(crops.to(tower.glb_GN.dtype)))
        for layer in transformer.encoder.layers:
            hidden = yield from _layer_parts(layer, hidden)
        return hidden[:, 1:]  # without the class token, as vLLM's `get_img_features`

    def clip_features(self, crops: torch.Tensor) -> torch.Tensor:
        """CLIP's patch features of crops: (n, 3, 336, 336) -> (n, 576, 1024); n may be 0."""
        tower = self.vision_embed_tokens
        batches = crops.to(tower.glb_GN.dtype).split(CLIP_MICRO_BATCH)
        return torch.cat(
            [
                tower.get_img_features(batch) if len(batch) else batch.new_empty(0, 576, 1024)
                for batch in batches
            ]
        )
