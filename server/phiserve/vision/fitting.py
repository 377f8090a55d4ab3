"""How closely to look at each picture of a request, so that all fit. Sizes and counts only."""

from collections.abc import Sequence

from phiserve.vision.sizes import CropPlan, plan_crops

LOW_BUDGET = 1
STEPS = (16, 9, 4, 1)
"""Budgets that `auto` steps down through: squares, where a picture loses detail evenly."""


def fit_crops(
    sizes: Sequence[tuple[int, int]], details: Sequence[str], budget: int, available_tokens: int
) -> tuple[CropPlan, ...]:
    """Plan every picture: `low` with one crop, `high` with the whole `budget`, `auto` stepped down as far as needed.

    All `auto` pictures of a request share one step, so that pictures to be compared are seen alike. If even the lowest step does
    not fit into `available_tokens`, that step is returned: the caller reports what is too much.
    """
    plans: tuple[CropPlan, ...] = ()
    for step in (budget, *(step for step in STEPS if step < budget)):
        budgets = {"low": LOW_BUDGET, "high": budget, "auto": step}
        plans = tuple(plan_crops(*size, budgets[detail]) for size, detail in zip(sizes, details, strict=True))
        if sum(plan.num_tokens for plan in plans) <= available_tokens:
            break
    return plans
