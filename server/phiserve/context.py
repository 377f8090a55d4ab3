"""What a request needs of the context, in numbers, and how to say that it is too much."""

from dataclasses import dataclass

from phiserve.vision.fitting import fit_crops
from phiserve.vision.sizes import CropPlan

LIMIT_NAME = "max_total_tokens"
"""As `/v1/models/{id}` names the limit."""


@dataclass(frozen=True, slots=True)
class ContextNeed:
    """What a request needs of the context, in tokens.

    Its text, its images with their (width, height) and plans, and the answer's limit if the request states
    one. `text_is_counted` is false where `text_tokens` is only what a text of its length takes at least.
    """

    text_tokens: int
    sizes: tuple[tuple[int, int], ...]
    plans: tuple[CropPlan, ...]
    output_limit: int | None
    text_is_counted: bool = True

    @property
    def total(self) -> int:
        """All tokens; an answer has at least one."""
        return self.text_tokens + sum(plan.num_tokens for plan in self.plans) + (self.output_limit or 1)

    def explain(self, limit: int, max_crops: int) -> str:
        """Why this does not fit into `limit` tokens.

        Every number, and the lower `detail` that would fit where one would.
        """
        text = f"{self._at_least(self.text_is_counted)}{self.text_tokens} in the text"
        images = [f"{plan.num_tokens} in image {number}" for number, plan in enumerate(self.plans, 1)]
        answer = f"{self._at_least(self.output_limit is not None)}{self.output_limit or 1} for the answer"
        exact = self.text_is_counted and self.output_limit is not None
        parts = ", ".join([text, *images, answer])
        return (
            f"This model's maximum context length is {limit} tokens ({LIMIT_NAME}). The request needs "
            f"{self._at_least(exact)}{self.total}: {parts}.{self._lower_detail(limit, max_crops)}"
        )

    def _lower_detail(self, limit: int, max_crops: int) -> str:
        available = limit - self.text_tokens - (self.output_limit or 1)
        for detail in ("auto", "low"):
            plans = fit_crops(self.sizes, [detail] * len(self.sizes), max_crops, available)
            if plans and sum(plan.num_tokens for plan in plans) <= available:
                return f' With detail "{detail}" its images would fit.'
        return ""

    @staticmethod
    def _at_least(is_exact: bool) -> str:
        return "" if is_exact else "at least "
