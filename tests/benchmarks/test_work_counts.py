"""Work counted from shapes agrees with what is known of the model."""

import pytest

from benchmarks.checkpoints import SHAPES
from benchmarks.work_counts import clip_flops, decode_bytes, decoder_weights, prefill_flops


def test_the_decoder_s_weights() -> None:
    """Phi-3-mini has 3.8 billion, its input rows (0.1) aside."""
    assert decoder_weights(SHAPES["full"]) == pytest.approx(3.72e9, rel=0.01)


def test_a_step_reads_the_weights_once_and_every_sequence_s_cache() -> None:
    """393,216 bytes of cache for a token."""
    alone, many = (decode_bytes(SHAPES["full"], batch, 100) for batch in (1, 16))
    assert many - alone == 15 * 100 * 393_216
    assert alone == pytest.approx(7.48e9, rel=0.01)


def test_a_prompt() -> None:
    """Twice the layers' weights for every token, and a quadratic part that is small for short ones."""
    short, long = (prefill_flops(SHAPES["full"], tokens) for tokens in (100, 200))
    assert long / short == pytest.approx(2, rel=0.01)


def test_clip() -> None:
    """ViT-L/14 at 336 pixels takes some 382 billion operations in 24 layers."""
    assert clip_flops(24, 1) == pytest.approx(382e9, rel=0.02)
    assert clip_flops(23, 13) == 13 * clip_flops(23, 1)
