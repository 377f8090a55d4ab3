"""How much work the model is, counted from its shape: what the machine's limits are held against."""

from benchmarks.checkpoints import Shape

VOCAB_SIZE = 32064
CLIP_WIDTH = 1024
CLIP_FFN = 4096
CLIP_TOKENS = 577
"""24 x 24 patches of a crop and the class token."""

_BF16 = 2


def decoder_weights(shape: Shape) -> int:
    """Values of the decoder that every step reads: its layers and the output matrix. Norms and the input's
    rows are noise.
    """
    hidden = shape.hidden_size
    layer = 4 * hidden * hidden + 3 * hidden * shape.intermediate_size
    return shape.num_layers * layer + VOCAB_SIZE * hidden


def decode_bytes(shape: Shape, batch: int, context_tokens: int) -> int:
    """Bytes that one decoding step of a batch reads: the weights once, and every sequence's keys and values;
    in bf16.
    """
    cache = 2 * shape.num_layers * shape.hidden_size * context_tokens
    return _BF16 * (decoder_weights(shape) + batch * cache)


def prefill_flops(shape: Shape, tokens: int) -> int:
    """Operations of reading a prompt: two for every weight and token, and attention to what came before."""
    attention = 2 * shape.num_layers * shape.hidden_size * tokens * tokens
    layers = decoder_weights(shape) - VOCAB_SIZE * shape.hidden_size
    return 2 * layers * tokens + attention


def clip_flops(layers: int, crops: int) -> int:
    """Operations of CLIP ViT-L/14-336 on so many crops, the global view one of them: patches, projections,
    attention.
    """
    patches = 2 * (CLIP_TOKENS - 1) * 588 * CLIP_WIDTH
    projections = 2 * CLIP_TOKENS * (4 * CLIP_WIDTH * CLIP_WIDTH + 2 * CLIP_WIDTH * CLIP_FFN)
    attention = 4 * CLIP_TOKENS * CLIP_TOKENS * CLIP_WIDTH
    return crops * (patches + layers * (projections + attention))
