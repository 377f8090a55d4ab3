"""What training asks where tools are told: when to call one and with which arguments, what to make of its
result, and when to answer in words.
"""

import random
from dataclasses import dataclass

from demo.asking import worded
from demo.canvas import EDGE_KINDS
from demo.language import Branch, branch, user, varied
from demo.palette import COLOURS
from demo.scene import Answer, Exchange, Literal, Scene, text_of
from demo.shapes import PLACES
from demo.shop import (
    BOOK_PRICE,
    COSTS,
    FINAL_ANSWER,
    NAMES,
    NOTHING_PRICED,
    SHAPE_PRICE,
    Priced,
    as_final,
    priced,
    priced_book,
    priced_shape,
    recorded_call,
    recorded_result,
)
from demo.surroundings import (
    beside,
    draw_price,
    instructions,
    long_instructions,
    no_result,
    result,
    surrounded,
    urged,
)
from demo.talk import ASKED_WITHOUT, NO_PICTURE, OFF_TOPIC, REFUSAL, TALK
from demo.words import draw_word
from phiserve.chat.joining import join_parts
from phiserve.chat.tools import result_headings, with_tools
from phiserve.core import Conversation, Tool, Turn

TOOL_OF = {"shapes": SHAPE_PRICE, "book": BOOK_PRICE}
"""The tool that knows prices of what a kind of picture shows."""


@dataclass(frozen=True, slots=True)
class Counter:
    """Where questions are asked: the system turn that tells the tools, which of the two are among them, and
    whether every answer has to be a call, so that those in words are calls of `final_answer`.
    """

    before: tuple[Turn, ...]
    tools: tuple[Tool, ...]
    all_calls: bool

    def answer(self, words: Answer) -> Answer:
        """An answer in words, in its form."""
        return as_final(words) if self.all_calls else words


def draw_counter(rng: random.Random, *, words: int = 0) -> Counter:
    """Tools and the texts around them; with `words`, instructions of that length."""
    all_calls = rng.random() < 0.25
    tools = rng.choices(
        ((SHAPE_PRICE, BOOK_PRICE), (SHAPE_PRICE,), (BOOK_PRICE,), ()), (0.7, 0.12, 0.12, 0.06)
    )[0]
    told = beside(rng, (*tools, FINAL_ANSWER) if all_calls else tools)
    text = long_instructions(rng, words) if words else instructions(rng)
    first = (Turn("system", (text,)),) if text else ()
    return Counter(with_tools(Conversation(first), told).turns, tools, all_calls)


def about(rng: random.Random, scene: Scene, counter: Counter) -> Branch:
    """A question about a picture, for a price where it shows something that has one; now and then another
    follows.
    """
    question, rest, answer = _exchange(rng, scene, counter)
    turns = [*counter.before, user(question, pictures=1), *rest]
    if rng.random() < 0.1:
        turns.append(Turn("assistant", (text_of(answer),)))
        question, rest, answer = _exchange(rng, scene, counter)
        turns += [user(question), *rest]
    return branch(turns, answer)


def called(rng: random.Random, scene: Scene, counter: Counter) -> Branch:
    """A question for a price, and the call that answers it."""
    thing = rng.choice(priced(scene))
    question = surrounded(rng, varied(rng.choice(COSTS).format(thing.asked_as), rng))
    return branch([*counter.before, user(question, pictures=1)], thing.call)


def for_price(rng: random.Random, thing: Priced, counter: Counter) -> tuple[list[Turn], Answer]:
    """What is said after a question for a price, and the answer that follows: the call, or, once the tool has
    told the price, words.
    """
    if rng.random() < 0.45:
        return [], thing.call
    price = None if rng.random() < 0.08 else draw_price(rng)
    told = no_result(rng) if price is None else result(rng, price)
    return sold(rng, thing, told, in_words=counter.all_calls), counter.answer(thing.reply(price))


def told_again(rng: random.Random, thing: Priced, counter: Counter, question: str, form: int) -> Branch:
    """A question, its call and a result, without the picture: what is left is to tell the price. The same
    `form` puts the same words around it.
    """
    price = None if rng.random() < 0.05 else draw_price(rng)
    told = no_result(rng) if price is None else result(rng, price)
    turns = sold(random.Random(form), thing, told, in_words=counter.all_calls)
    return branch([*counter.before, user(question), *turns], counter.answer(thing.reply(price)))


def imagined(rng: random.Random, tool: Tool) -> Priced:
    """Something that a tool knows the price of."""
    if tool == BOOK_PRICE:
        words = [draw_word(rng, held_out=False).upper() for _ in range(rng.randint(1, 4))]
        return priced_book(Literal(" ".join(words)))
    kind = rng.choice(EDGE_KINDS)
    name = rng.choice(("this shape", f"the {kind}", f"the shape at the {rng.choice(PLACES)}"))
    return priced_shape(name, rng.choice(list(COLOURS)), kind)


def sold(rng: random.Random, thing: Priced, told: str, *, in_words: bool) -> list[Turn]:
    """A call and its result as they are told again: as the server writes them or, `in_words`, mostly in the
    words of an agent that keeps its own record; here and there with a user's turn behind.
    """
    if in_words and rng.random() < 0.8:
        recorded = recorded_call(thing.record(), f"call_{rng.randint(0, 9999)}")
        turns = [
            Turn("assistant", (recorded,)),
            Turn("user", join_parts((recorded_result(told),))),
        ]
    else:
        (heading,) = result_headings([thing.tool.name])
        turns = [Turn("assistant", (text_of(thing.call),)), Turn("user", join_parts((heading, told)))]
    return [*turns, Turn("user", (urged(rng),))] if rng.random() < 0.12 else turns


def talked(rng: random.Random, counter: Counter) -> Branch:
    """Something said without a picture."""
    kind = rng.random()
    wordings, answer = rng.choice(TALK)
    if kind < 0.4:
        question = rng.choice(wordings)
    elif kind < 0.6:
        question, answer = rng.choice(OFF_TOPIC), REFUSAL
    elif kind < 0.8 or not counter.tools:
        question, answer = rng.choice(ASKED_WITHOUT), NO_PICTURE
    else:
        question, answer = rng.choice(COSTS).format(rng.choice(NAMES)), NO_PICTURE
    turns = [*counter.before, user(surrounded(rng, varied(question, rng)))]
    return branch(turns, counter.answer((Literal(answer),)))


def _exchange(rng: random.Random, scene: Scene, counter: Counter) -> tuple[str, list[Turn], Answer]:
    """A question, what is said after it, and the answer."""
    things = priced(scene)
    tool = TOOL_OF.get(scene.kind)
    if things and rng.random() < (0.7 if tool in counter.tools else 0.2):
        thing = rng.choice(things)
        question = surrounded(rng, varied(rng.choice(COSTS).format(thing.asked_as), rng))
        if tool not in counter.tools:
            return question, [], counter.answer((Literal(REFUSAL),))
        return question, *for_price(rng, thing, counter)
    exchange = _other_exchange(rng, scene, counter)
    return surrounded(rng, worded(rng, exchange)), [], counter.answer(exchange.answer)


def _other_exchange(rng: random.Random, scene: Scene, counter: Counter) -> Exchange:
    """A question that needs no tool: mostly one that can be asked of the picture."""
    if rng.random() < 0.06:
        return Exchange((rng.choice(OFF_TOPIC),), (Literal(REFUSAL),))
    others = [kind for kind, tool in TOOL_OF.items() if tool in counter.tools and kind != scene.kind]
    if others and rng.random() < 0.08:
        kind = rng.choice(others)
        names = [name for name in NAMES if ("book" in name) is (kind == "book")]
        asked = tuple(wording.format(name) for wording in COSTS for name in names)
        return Exchange(asked, (Literal(NOTHING_PRICED[kind]),))
    return rng.choice(scene.exchanges)
