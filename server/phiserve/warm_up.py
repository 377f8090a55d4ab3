"""What an engine is asked before clients are, so that no client's request is the slow first one."""

from collections.abc import Iterator
from contextlib import aclosing

from phiserve.constraints.constraint import Constraint
from phiserve.constraints.lark import check_compiles
from phiserve.constraints.regex import regex_grammar
from phiserve.core import (
    Conversation,
    GenerationRequest,
    ImagePlaceholder,
    SamplingOptions,
    StopConditions,
    Turn,
)
from phiserve.errors import RequestError, StartupError
from phiserve.pipeline import Pipeline

_IMAGE = "data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAACAkQBADs="
"""A GIF of one pixel."""


async def warm_up(pipeline: Pipeline, *, with_image: bool) -> None:
    """Take every path of an engine that is imported or compiled at its first use. Raises StartupError.

    Constraints above all: grammars' libraries and their tables of the vocabulary take half a second, in both
    processes, for which every running answer would stand still.
    """
    for request in _requests(with_image=with_image):
        try:
            async with aclosing(pipeline.deltas(await pipeline.prepare(request))) as deltas:
                async for _ in deltas:
                    pass
        except RequestError as error:
            raise StartupError(
                f"The engine starts, but cannot answer a small request: {error.message}"
            ) from error


def _requests(*, with_image: bool) -> Iterator[GenerationRequest]:
    grammar = regex_grammar("[a-z]")
    check_compiles(grammar)
    hello = Conversation((Turn("user", ("Hi",)),))
    yield GenerationRequest(
        "warm-up-options",
        hello,
        SamplingOptions(
            temperature=0.5,
            top_p=0.9,
            top_k=5,
            min_p=0.01,
            seed=1,
            frequency_penalty=0.1,
            presence_penalty=0.1,
            repetition_penalty=1.1,
            logit_bias={5: 1.0},
            allowed_token_ids=tuple(range(300)),
            bad_words=("zzz",),
        ),
        StopConditions(max_tokens=2, min_tokens=1, strings=("stop",)),
        top_logprobs=1,
    )
    yield GenerationRequest(
        "warm-up-labels", hello, stops=StopConditions(max_tokens=1), read_token_ids=tuple(range(300, 330))
    )
    yield GenerationRequest(
        "warm-up-constraint",
        hello,
        stops=StopConditions(max_tokens=2),
        constraint=Constraint(grammar, "the warm-up constraint"),
    )
    if with_image:
        image = ImagePlaceholder(_IMAGE, "low", "the warm-up image")
        stops = StopConditions(max_tokens=1)
        yield GenerationRequest("warm-up-image", Conversation((Turn("user", (image,)),)), stops=stops)
