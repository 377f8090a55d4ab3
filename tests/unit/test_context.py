"""What is too long is told with all its numbers."""

from phiserve.context import ContextNeed
from phiserve.vision.sizes import plan_crops

SQUARE = (500, 500)


def test_all_numbers() -> None:
    """The limit by its name, the sum, the text, each image, one token of the answer, and the lower `detail`
    that would fit.
    """
    need = ContextNeed(100, (SQUARE, SQUARE), (plan_crops(*SQUARE, 16), plan_crops(*SQUARE, 1)))
    assert need.total == 100 + 2509 + 313 + 1
    assert need.explain(2900, 16) == (
        "This model's maximum context length is 2900 tokens (max_total_tokens). "
        "The request needs at least 2923: 100 in the text, "
        '2509 in image 1, 313 in image 2, at least 1 for the answer. With detail "auto" its images would fit.'
    )


def test_pages_that_would_fit() -> None:
    """How many of a PDF's pages would, where no lower `detail` is enough; beside the images, which stay."""
    sizes, plans = (SQUARE,) * 4, (plan_crops(*SQUARE, 1),) * 4
    need = ContextNeed(100, sizes, plans, are_pages=(True, False, True, True))
    assert need.explain(1100, 16).endswith(' With detail "low" 2 of its 3 pages would fit.')
    assert need.explain(500, 16).endswith("at least 1 for the answer.")
    assert need.explain(4000, 16).endswith('With detail "auto" its images would fit.')


def test_what_is_not_known_exactly_is_said_so() -> None:
    """A text judged by its length is told as the least that it takes, as the answer is."""
    need = ContextNeed(5000, (), (), text_is_counted=False)
    assert need.explain(4096, 16) == (
        "This model's maximum context length is 4096 tokens (max_total_tokens). "
        "The request needs at least 5001: "
        "at least 5000 in the text, at least 1 for the answer."
    )
