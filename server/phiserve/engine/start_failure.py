"""Why an engine did not start, in one sentence that names the remedy."""

from pydantic import ValidationError

from phiserve.engine.adapter import MAX_REASON_CHARACTERS
from phiserve.errors import StartupError, shortened
from phiserve.plugin.core_process import EngineProcessFailure


def startup_error(error: Exception, failure: EngineProcessFailure | None, memory: str) -> StartupError:
    """What is said of a start that vLLM gave up with `error`.

    `failure`: what the engine's process reported; None if it reported nothing. `memory`: what
    `memory.memory_need` says. `phiserve --debug` shows the process's own traceback too.
    """
    if failure is not None:
        said = _told(failure, memory)
    elif isinstance(error, MemoryError):
        said = f"Too little memory: {memory}"
    elif isinstance(error, RuntimeError):
        said = (
            "vLLM's engine did not start, and its process ended without a word, as the kernel ends one where "
            f"memory runs out: {memory}"
        )
    else:
        said = f"vLLM's engine did not start: {reason_of(error)}"
    startup = StartupError(said)
    if failure is not None:
        startup.add_note(failure.traceback)
    return startup


def _told(failure: EngineProcessFailure, memory: str) -> str:
    if failure.is_memory:
        return f"Too little memory: the engine was refused what it asked for; {memory}"
    return f"vLLM's engine did not start: {shortened(failure.text or failure.error, MAX_REASON_CHARACTERS)}"


def reason_of(error: Exception) -> str:
    """What is wrong, on one line of at most `MAX_REASON_CHARACTERS`.

    Of pydantic's errors, the argument's name and the reason; of others, the first line of their text, or
    their class's name where they have no text.
    """
    if isinstance(error, ValidationError):
        detail = error.errors(include_url=False, include_context=False)[0]
        # Only the first step is a key: pydantic puts members of unions after it.
        text = ": ".join((*map(str, detail["loc"][:1]), detail["msg"].removeprefix("Value error, ").strip()))
    else:
        text = str(error).strip()
    return shortened(text.splitlines()[0], MAX_REASON_CHARACTERS) if text else type(error).__name__
