"""Decides how many crops each image of a request gets, so that all fit. Sizes and counts only."""

from collections.abc import Sequence

from phiserve.vision.sizes import CropPlan, plan_image

LOW_MAX_CROPS = 1
STEPS = (16, 9, 4, 1)
"""Numbers of crops that `auto` steps down through: squares, so that width and height lose detail alike."""


def fit_crops(
    sizes: Sequence[tuple[int, int]], details: Sequence[str], max_crops: int, available_tokens: int
) -> tuple[CropPlan, ...]:
    """Plan the crops of a request's images so that all of them fit into `available_tokens`.

    `sizes` are (width, height), of pages a PageSize. Each image's detail is `low` for one crop, `high` for up
    to `max_crops`, or `auto` for as many as fit with all the others. All `auto` images of a request share one
    step of STEPS, so that images to be compared are seen alike. If even the lowest step does not fit, it is
    returned: the caller reports what is too much.
    """
    plans: tuple[CropPlan, ...] = ()
    for step in (max_crops, *(step for step in STEPS if step < max_crops)):
        max_crops_of = {"low": LOW_MAX_CROPS, "high": max_crops, "auto": step}
        plans = tuple(
            plan_image(size, max_crops_of[detail]) for size, detail in zip(sizes, details, strict=True)
        )
        if sum(plan.num_tokens for plan in plans) <= available_tokens:
            break
    return plans
