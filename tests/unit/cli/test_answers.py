"""The line below an answer."""

from openai.types import CompletionUsage
from openai.types.completion_usage import PromptTokensDetails

from phiserve.cli.answers import PrintedAnswer


def usage(**details: int) -> CompletionUsage:
    """Usage as a server sends it."""
    counts = PromptTokensDetails.model_validate(details) if details else None
    return CompletionUsage(
        prompt_tokens=330, completion_tokens=5, total_tokens=335, prompt_tokens_details=counts
    )


def test_footer() -> None:
    """Counts; images where the server tells them; why it ended, if it was cut off."""
    assert PrintedAnswer().footer() == ""
    assert PrintedAnswer([], "stop", usage()).footer() == "330 tokens read, 5 written"
    assert (
        PrintedAnswer([], "stop", usage(image_tokens=313)).footer()
        == "330 tokens read (313 in images), 5 written"
    )
    assert "cut off" in PrintedAnswer([], "length", usage()).footer()
