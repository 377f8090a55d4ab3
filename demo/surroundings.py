"""What stands around a question where tools are told: instructions, other tools, other words for the same.

Agent frameworks put their own texts there. Most of their words are no trained tokens and embed as zeros; what
has to be learned is to read past them, however many they are.
"""

import random
from collections.abc import Sequence
from dataclasses import replace

from pydantic import JsonValue

from demo.shop import FINAL_ANSWER
from demo.talk import SYSTEM_PROMPTS
from demo.words import draw_word
from phiserve.core import Tool

_INSTRUCTIONS = (
    "You are a shopping assistant.",
    "You are a helpful agent. Use the tools.",
    "Use the tools to look up prices.",
    "You help people in a shop. Look at the picture, then call a tool when you need one.",
    "Call at most one tool at a time.",
    "Never make up an answer: use a tool.",
    "You are Shop clerk. You have worked in this shop for twenty years.\nYour personal goal is: tell prices",
    "Answer the question about the image. If a tool can help, call it with the right arguments.",
    "Give the final result in one sentence.",
    "Do not ask questions. Think step by step before each action.",
    "Here are the rules you should always follow to solve your task:\n1. Always use the right arguments.\n"
    '2. Never call a tool twice with the same parameters.\n3. The result is a string, like "image_1.jpg".',
    'Action:\n{\n  "name": "python_interpreter",\n  "arguments": {"code": "5 + 3"}\n}\nObservation: 8\n---',
    "You are part of a team of agents. Handoffs are done by calling a function, such as transfer_to_agent.",
    "The assistant will be given a task to solve as best it can. To do so, it has access to some tools.",
)
_BEFORE = (
    "Task: ",
    "Current Task: ",
    "New task:\n",
    "Question: ",
    "Please tell me: ",
    "Look at this. ",
    "Hello! ",
)
_AFTER = (
    " Use the tools.",
    " Please use a tool if you need one.",
    " Answer in one sentence.",
    "\n\nThis is the expected criteria for your final answer: the price in words\nReturn the whole answer.",
    " Thank you!",
    "\n\nBe brief.",
)
_AFTER_RESULT = (
    "Look at the result of the tool. If it is enough, give the final answer; if not, call the next tool.",
    "Go on.",
    "Now give your answer.",
)
_OTHER_TOOLS = (
    ("search_web", "Searches the web.", ("query",)),
    ("get_weather", "The weather in a city.", ("city", "unit")),
    ("add", "Adds two numbers.", ("a", "b")),
    ("send_email", "Sends an email.", ("to", "subject", "text")),
    ("transfer_to_clerk", "Handoff to the clerk agent to handle the request.", ()),
    ("get_time", "What time it is.", ()),
    ("lookup_order", "Finds an order by its number.", ("number",)),
    ("remember", "Keeps a note for later.", ("note",)),
    ("translate", "Translates a text to a language.", ("text", "language")),
)
_DESCRIPTIONS = (
    "The price.",
    "Get the price.",
    "Look up what something costs.",
    "Returns the price in dollars.\n\nArgs:\n    see the parameters\n\nReturns:\n    The price as a number.",
)


def instructions(rng: random.Random) -> str:
    """A system prompt's own text: mostly short or none, now and then as long as some frameworks have it."""
    kind = rng.random()
    if kind < 0.2:
        return ""
    if kind < 0.45:
        return rng.choice(SYSTEM_PROMPTS)
    if kind < 0.85:
        return " ".join(rng.sample(_INSTRUCTIONS, rng.randint(1, 3)))
    return long_instructions(rng, rng.randint(60, 250))


def long_instructions(rng: random.Random, words: int) -> str:
    """At least so many words: instructions in any order, between them words that mean nothing here."""
    texts: list[str] = []
    while sum(len(text.split()) for text in texts) < words:
        texts.append(rng.choice(_INSTRUCTIONS) if rng.random() < 0.4 else noise(rng, rng.randint(3, 25)))
    return rng.choice((" ", "\n", "\n\n")).join(texts)


def noise(rng: random.Random, words: int) -> str:
    """Words and signs of any kind."""
    drawn = [draw_word(rng, held_out=False, shortest=1) for _ in range(words)]
    for number in range(words):
        drawn[number] += rng.choices(
            ("", ",", ".", ":", "_x", " - ", "()", '"', "\n"), (20, 2, 2, 1, 1, 1, 1, 1, 1)
        )[0]
    return " ".join(drawn)


def surrounded(rng: random.Random, question: str) -> str:
    """A question as a framework or a person may pass it on: in half of all cases as it is."""
    if rng.random() < 0.5:
        return question
    before = rng.choice(_BEFORE) if rng.random() < 0.6 else ""
    after = rng.choice(_AFTER) if rng.random() < 0.5 else ""
    if rng.random() < 0.15:
        after += "\n" + noise(rng, rng.randint(2, 20))
    return f"{before}{question}{after}"


def urged(rng: random.Random) -> str:
    """What crews' users say once a tool's result is there."""
    return rng.choice(_AFTER_RESULT) if rng.random() < 0.7 else noise(rng, rng.randint(3, 20))


def beside(rng: random.Random, tools: Sequence[Tool]) -> tuple[Tool, ...]:
    """Tools in any order, in two of five cases with others among them."""
    told = [varied_tool(rng, tool) for tool in tools]
    if rng.random() < 0.4 or not told:
        for name, description, arguments in rng.sample(_OTHER_TOOLS, rng.randint(1, 3)):
            told.append(varied_tool(rng, Tool(name, _schema(arguments), description)))
    rng.shuffle(told)
    return tuple(told)


def varied_tool(rng: random.Random, tool: Tool) -> Tool:
    """A tool as one of the frameworks would tell it: other descriptions, more keywords."""
    parameters = dict(tool.parameters)
    properties = parameters["properties"]
    if rng.random() < 0.4 and isinstance(properties, dict):
        parameters["properties"] = {name: _varied(rng, name, schema) for name, schema in properties.items()}
    if rng.random() < 0.3:
        parameters["additionalProperties"] = False
    if rng.random() < 0.2:
        parameters["title"] = f"{tool.name}_args"
    if rng.random() < 0.3:
        parameters = dict(sorted(parameters.items()))
    if tool == FINAL_ANSWER or rng.random() < 0.6:
        return replace(tool, parameters=parameters)
    described = None if rng.random() < 0.2 else rng.choice(_DESCRIPTIONS)
    return replace(tool, parameters=parameters, description=described)


def result(rng: random.Random, price: str) -> str:
    """A tool's result that tells a price: mostly as it is."""
    if rng.random() < 0.65:
        return price
    forms = (
        '{{"price": {}}}',
        '{{"price":{}}}',
        "{} dollars",
        "The price is {}.",
        "${}",
        '"{}"',
        "[{}]",
        " {}\n",
    )
    return rng.choice(forms).format(price)


def no_result(rng: random.Random) -> str:
    """A result that tells no price."""
    return rng.choice(("not found", "unknown", "null", "", "Error: no such item", "There is no price."))


def draw_price(rng: random.Random) -> str:
    """One to three digits, now and then with cents."""
    price = str(rng.randint(1, 10 ** rng.randint(1, 3) - 1))
    return f"{price}.{rng.randint(1, 99)}" if rng.random() < 0.1 else price


def _schema(arguments: Sequence[str]) -> dict[str, JsonValue]:
    properties: dict[str, JsonValue] = {name: {"type": "string"} for name in arguments}
    return {"type": "object", "properties": properties, "required": list(arguments)}


def _varied(rng: random.Random, name: str, schema: JsonValue) -> JsonValue:
    titled: dict[str, JsonValue] = {"title": name.capitalize()} if rng.random() < 0.5 else {}
    told: dict[str, JsonValue] = {"description": f"The {name}."} if rng.random() < 0.5 else {}
    return {**titled, **told, **schema} if isinstance(schema, dict) else schema
