"""Right decisions about freshly drawn images and texts: only a right pipeline gives them."""

import asyncio
import json
from typing import Any

import openai
import pytest

from demo.evaluate import RESULTS
from demo.evaluate_letters import ORDERS, asked, shown
from demo.exam_letters import LETTERS_TASKS, LettersTask
from e2e.truth import BATCH, FIRST, MODEL, least_of

SERVED_ORDERS = 2
"""In how many orders a server shows options unless it is told otherwise."""

MEASURED: dict[str, dict[str, Any]] = {
    row["name"]: row for row in json.loads(RESULTS.read_text(encoding="utf-8")).get("letters", [])
}
pytestmark = pytest.mark.skipif(not MEASURED, reason="the weights in the package were never taught to decide")


@pytest.mark.parametrize("task", LETTERS_TASKS, ids=lambda task: task.name)
def test_decisions_are_right(demo_url: str, task: LettersTask) -> None:
    """As often as the model card says; other questions than the card's."""

    async def is_right(client: openai.AsyncOpenAI, number: int) -> bool:
        decision = LettersTask(task.name, task.goal, f"{task.seed}/{FIRST}", task.make).decision(number)
        question = asked(decision.question, tuple(range(len(decision.question.options))))
        decided: Any = await client.decisions.create(
            model=MODEL,
            input=shown(decision),
            questions=[question],
            extra_body={"return_diagnostics": True},
        )
        probabilities = decided.answers[0].diagnostics["probabilities"]
        return bool(probabilities.index(max(probabilities)) == decision.right)

    async def share() -> float:
        async with openai.AsyncOpenAI(base_url=f"{demo_url}/v1", api_key="none", max_retries=0) as client:
            return sum(await asyncio.gather(*(is_right(client, number) for number in range(BATCH)))) / BATCH

    least = least_of(MEASURED[task.name]["right"][ORDERS.index(SERVED_ORDERS)], BATCH)
    assert asyncio.run(share()) >= least
