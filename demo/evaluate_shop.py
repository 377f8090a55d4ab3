"""Measure loops of calls through the running server: is the call right, and the answer once the tool has
spoken.
"""

import asyncio
import json
from dataclasses import dataclass
from typing import Any

import openai

from demo.exam_shop import Errand, ShopTask
from demo.posting import LONGEST_ANSWER, STREAMS, messages
from demo.shop import FINAL_ANSWER, recorded_call, recorded_result

_CALL_ID = "call_1"
_NOT_FOUND = "not found"
"""What the tools say to a call that is not the right one."""


@dataclass(frozen=True)
class ShopResult:
    """A measured row: of `count` loops, the shares whose call was right, or rightly missing, and whose end
    was right, too; and some that went wrong: the question, what is right, what was said.
    """

    name: str
    goal: float
    seed: str
    count: int
    called: float
    answered: float
    wrong: list[tuple[str, str, str]]


async def measure_shop(client: openai.AsyncOpenAI, model: str, task: ShopTask, count: int) -> ShopResult:
    """Run `count` loops, several at a time, greedily."""
    gate = asyncio.Semaphore(STREAMS)

    async def run(number: int) -> tuple[Errand, list[str]]:
        errand = task.errand(number)
        async with gate:
            return errand, await loop(client, model, errand)

    runs = await asyncio.gather(*(run(number) for number in range(count)))
    wrong = [
        (errand.question.question, " | ".join(right_steps(errand)), " | ".join(said))
        for errand, said in runs
        if said != right_steps(errand)
    ]
    called = sum(said[0] == right_steps(errand)[0] for errand, said in runs)
    return ShopResult(
        task.name, task.goal, task.seed, count, called / count, 1 - len(wrong) / count, wrong[:5]
    )


def right_steps(errand: Errand) -> list[str]:
    """What the model should say: the call, and the answer, or the answer alone."""
    if errand.call is None:
        return [errand.question.answer]
    name, arguments, _ = errand.call
    return [step_of(name, dict(arguments)), errand.question.answer]


def step_of(name: str, arguments: Any) -> str:
    """A call in one line."""
    return f"{name} {json.dumps(arguments, sort_keys=True)}"


async def loop(client: openai.AsyncOpenAI, model: str, errand: Errand) -> list[str]:
    """What the model says: at most a call and, once the tool has spoken, an answer."""
    told: list[Any] = messages(errand.question, question_first=errand.question_first)
    if errand.instructions:
        told.insert(0, {"role": "system", "content": errand.instructions})
    said: list[str] = []
    for _ in right_steps(errand):
        calls, words = await _ask(client, model, errand, told)
        if not calls:
            return [*said, words]
        said.append("; ".join(step_of(*call) for call in calls))
        right = errand.call is not None and said[-1] == right_steps(errand)[0]
        told += _with_result(errand, calls[0], errand.call[2] if right and errand.call else _NOT_FOUND)
    return said


async def _ask(
    client: openai.AsyncOpenAI, model: str, errand: Errand, told: list[Any]
) -> tuple[list[tuple[str, Any]], str]:
    """Calls, or, where there are none, words; those that come as a call of `final_answer` count as words."""
    tools: list[Any] = [
        {
            "type": "function",
            "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters},
        }
        for tool in errand.tools
    ]
    completion = await client.chat.completions.create(
        model=model,
        messages=told,
        tools=tools,
        tool_choice="required" if errand.form == "own record" else "auto",
        temperature=0,
        max_tokens=LONGEST_ANSWER,
    )
    message = completion.choices[0].message
    calls: list[tuple[str, Any]] = []
    for call in message.tool_calls or ():
        if call.type == "function":
            calls.append((call.function.name, _parsed(call.function.arguments)))
    if len(calls) == 1 and calls[0][0] == FINAL_ANSWER.name and isinstance(calls[0][1], dict):
        return [], str(calls[0][1].get("answer"))
    return calls, message.content or ""


def _parsed(arguments: str) -> Any:
    """Arguments, or their text where the answer was cut within them."""
    try:
        return json.loads(arguments)
    except ValueError:
        return arguments


def _with_result(errand: Errand, call: tuple[str, Any], result: str) -> list[Any]:
    """The messages that tell the model of its call and the result."""
    name, arguments = call
    if errand.form == "own record":
        return [
            {"role": "assistant", "content": recorded_call(call, _CALL_ID)},
            {"role": "user", "content": recorded_result(result)},
        ]
    function = {"name": name, "arguments": json.dumps(arguments)}
    return [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": _CALL_ID, "type": "function", "function": function}],
        },
        {"role": "tool", "tool_call_id": _CALL_ID, "content": result},
    ]
