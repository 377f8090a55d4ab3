"""What start-up states."""

from phiserve.engine.start import EngineReport, versions


def test_report() -> None:
    """Device, dtype, context and RoPE regime, capacity, budget."""
    lines = "\n".join(EngineReport("cpu", "bfloat16", 8192, "long", 100_000, 31, 16).lines())
    for said in ("cpu", "bfloat16", "8192 tokens, long RoPE", "100000 tokens: 31 requests with one picture", "budget 16"):
        assert said in lines


def test_versions() -> None:
    """Of everything the engine is made of, though vLLM's CPU build has no metadata under its name."""
    assert versions()["vllm"].startswith("0.32")
    assert set(versions()) == {"vllm", "torch", "transformers"}
