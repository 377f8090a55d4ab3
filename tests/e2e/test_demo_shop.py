"""Right calls about freshly drawn images, in loops as agents run them: only a right pipeline gives them."""

import asyncio
import json
from pathlib import Path
from typing import Any

import openai
import pytest

from demo.evaluate import RESULTS
from demo.evaluate_shop import measure_shop
from demo.exam_shop import SHOP_TASKS, ShopTask
from demo.shop import BOOK_PRICE, SHAPE_PRICE
from e2e.truth import BATCH, FIRST, MODEL, answer, least_of
from images import image_part, text_part

IMAGES = Path(__file__).parents[2] / "docs" / "images"
TOOLS: Any = [
    {
        "type": "function",
        "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters},
    }
    for tool in (SHAPE_PRICE, BOOK_PRICE)
]
MEASURED: dict[str, dict[str, float]] = {
    row["name"]: row for row in json.loads(RESULTS.read_text(encoding="utf-8"))["tools"]
}
pytestmark = pytest.mark.skipif(not MEASURED, reason="the weights in the package were never taught tools")

README = [
    ("shapes.png", "What does the circle cost?", "shape_price", {"color": "red", "shape": "circle"}),
    (
        "shapes.png",
        "How much is the shape at the center?",
        "shape_price",
        {"color": "blue", "shape": "square"},
    ),
    ("cover.png", "What is the price of this book?", "book_price", {"title": "ALONE"}),
]


@pytest.mark.parametrize("task", SHOP_TASKS, ids=lambda task: task.name)
def test_loops_end_right(demo_url: str, task: ShopTask) -> None:
    """As often as the model card says; other errands than the card's."""

    async def measured() -> tuple[float, float]:
        later = ShopTask(task.name, task.goal, f"{task.seed}/{FIRST}", task.make)
        async with openai.AsyncOpenAI(base_url=f"{demo_url}/v1", api_key="none", max_retries=0) as client:
            result = await measure_shop(client, MODEL, later, BATCH)
        return result.called, result.answered

    called, answered = asyncio.run(measured())
    assert called >= least_of(MEASURED[task.name]["called"], BATCH)
    assert answered >= least_of(MEASURED[task.name]["answered"], BATCH)


@pytest.mark.parametrize(("image", "question", "name", "arguments"), README)
def test_the_images_of_readme(
    demo_url: str, image: str, question: str, name: str, arguments: dict[str, str]
) -> None:
    """Are seen right, streamed or not; the price in the end is the tool's."""
    asked: Any = {
        "role": "user",
        "content": [image_part((IMAGES / image).read_bytes()), text_part(question)],
    }
    with openai.OpenAI(base_url=f"{demo_url}/v1", api_key="none", max_retries=0) as client:
        with client.chat.completions.stream(
            model=MODEL, messages=[asked], tools=TOOLS, temperature=0
        ) as stream:
            message = stream.get_final_completion().choices[0].message
        (call,) = message.tool_calls or []
        assert (call.function.name, json.loads(call.function.arguments)) == (name, arguments)
        result = {"role": "tool", "tool_call_id": call.id, "content": "731"}
        history = [asked, message.model_dump(exclude_none=True), result]
        completion = client.chat.completions.create(model=MODEL, messages=history, tools=TOOLS, temperature=0)
        assert (completion.choices[0].message.content or "").endswith(" costs 731.")


def test_without_tools_there_are_no_prices(demo_url: str) -> None:
    """The model then says what it can do."""
    content = [image_part((IMAGES / "cover.png").read_bytes()), text_part("What does this book cost?")]
    with openai.OpenAI(base_url=f"{demo_url}/v1", api_key="none", max_retries=0) as client:
        said = answer(client, [{"role": "user", "content": content}])
    assert "cost" not in said
