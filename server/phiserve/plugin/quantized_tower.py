"""CLIP with int8 weights, whose activations have three dimensions."""

import torch
from torch import nn
from vllm.model_executor.layers.quantization.compressed_tensors.schemes import CompressedTensorsW8A8Int8


class RowsInt8(CompressedTensorsW8A8Int8):
    """Multiplies activations (n, tokens, width) as rows: vLLM's kernel for AMX takes two dimensions alone."""

    def apply_weights(self, layer: nn.Module, x: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        """(..., in) -> (..., out)"""
        return super().apply_weights(layer, x.flatten(0, -2), bias).unflatten(0, x.shape[:-1])


def take_rows(tower: nn.Module) -> None:
    """Let all int8 layers of a vision tower multiply so."""
    for layer in tower.modules():
        if isinstance(scheme := getattr(layer, "scheme", None), CompressedTensorsW8A8Int8):
            scheme.__class__ = RowsInt8
