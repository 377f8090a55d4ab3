"""What a request needs of the context, in numbers, and how to say that it is too much."""

from dataclasses import dataclass
from itertools import accumulate

from phiserve.vision.fitting import fit_crops
from phiserve.vision.sizes import CropPlan

LIMIT_NAME = "max_total_tokens"
"""As `/v1/models/{id}` names the limit."""


@dataclass(frozen=True, slots=True)
class ContextNeed:
    """What a request needs of the context, in tokens.

    Its text, its images with their (width, height) and plans, and one token of the answer, which is cut where
    the context ends. `text_is_counted` is false where `text_tokens` is only what a text of its length takes
    at least. `are_pages`: which of the images are pages of PDFs; none if it is empty.
    """

    text_tokens: int
    sizes: tuple[tuple[int, int], ...]
    plans: tuple[CropPlan, ...]
    text_is_counted: bool = True
    are_pages: tuple[bool, ...] = ()

    @property
    def total(self) -> int:
        """All tokens; an answer has at least one."""
        return self.text_tokens + sum(plan.num_tokens for plan in self.plans) + 1

    def explain(self, limit: int, max_crops: int) -> str:
        """Why this does not fit into `limit` tokens.

        Every number, and the lower `detail` that would fit where one would.
        """
        text = f"{'' if self.text_is_counted else 'at least '}{self.text_tokens} in the text"
        images = [f"{plan.num_tokens} in image {number}" for number, plan in enumerate(self.plans, 1)]
        parts = ", ".join([text, *images, "at least 1 for the answer"])
        return (
            f"This model's maximum context length is {limit} tokens ({LIMIT_NAME}). The request needs "
            f"at least {self.total}: {parts}.{self._lower_detail(limit, max_crops)}"
        )

    def _lower_detail(self, limit: int, max_crops: int) -> str:
        available = limit - self.text_tokens - 1
        for detail in ("auto", "low"):
            plans = fit_crops(self.sizes, [detail] * len(self.sizes), max_crops, available)
            if plans and sum(plan.num_tokens for plan in plans) <= available:
                return f' With detail "{detail}" its images would fit.'
        return self._fewer_pages(limit, max_crops)

    def _fewer_pages(self, limit: int, max_crops: int) -> str:
        """How many of its pages would fit at the lowest detail, beside all else; nothing if none would."""
        left = limit - self.text_tokens - 1
        lowest = fit_crops(self.sizes, ["low"] * len(self.sizes), max_crops, left)
        costs = [plan.num_tokens for plan in lowest]
        pages = [cost for cost, is_page in zip(costs, self.are_pages, strict=False) if is_page]
        left -= sum(costs) - sum(pages)
        num_fitting = sum(total <= left for total in accumulate(pages))
        if not num_fitting:
            return ""
        return f' With detail "low" {num_fitting} of its {len(pages)} pages would fit.'
