"""Questions become reads: which, how many at once, and what becomes of what they tell."""

import asyncio
import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest

from images import data_url, encode, noise
from phiserve.chat.encoder import PromptEncoder
from phiserve.chat.joining import join_parts
from phiserve.core import Conversation, ImagePlaceholder, Turn
from phiserve.decider import Decider, PreparedDecision, Undecided, decider_of
from phiserve.decisions.labels import Labels
from phiserve.decisions.questions import Kind, Option, Order, Question
from phiserve.decisions.request import Decided, DecisionRequest
from phiserve.decisions.temperatures import Temperatures
from phiserve.engine.interface import EngineLimits
from phiserve.errors import DeadlineExceeded, EngineUnavailable, Overloaded
from phiserve.load import Load
from phiserve.preparation import PromptLimits
from phiserve.shared_prompts import SharedPreparer
from phiserve.turns import Line
from phiserve.vision.images import ImageService
from reading import ReadingEngine

IMAGE = ImagePlaceholder(data_url(encode(noise(90, 90))), "low", "input[0].content[0].image_url")
INPUT = Conversation((Turn("user", join_parts([IMAGE])),), "input")


def question(num_options: int = 2, instructions: str = "What?") -> Question:
    options = tuple(Option(f"option {number}") for number in range(num_options))
    return Question("choice", (instructions,), options, "questions[0]")


@dataclass
class Setting:
    """A decider around an engine, on real prompts and images."""

    encoder: PromptEncoder
    images: ImageService
    num_orders: int = 1
    temperatures: Temperatures = field(default_factory=Temperatures)
    load: Load = field(default_factory=lambda: Load(64, 256, 60))
    conversation: Conversation = INPUT

    def decide(
        self, engine: ReadingEngine, *questions: Question, deadline_s: float | None = None
    ) -> tuple[list[Decided], PreparedDecision]:
        preparer = SharedPreparer(self.encoder, self.images, PromptLimits(4096, 16, 4, 64))
        labels = Labels.load(self.encoder)
        decider = Decider(engine, preparer, self.load, labels, self.num_orders, self.temperatures)

        async def decide() -> tuple[list[Decided], PreparedDecision]:
            request = DecisionRequest("id", self.conversation, questions, deadline_s=deadline_s)
            prepared = await decider.prepare(request)
            return await decider.decide(prepared), prepared

        return asyncio.run(decide())


@pytest.fixture
def setting(encoder: PromptEncoder, image_service: ImageService) -> Setting:
    return Setting(encoder, image_service)


def test_probabilities_are_of_the_labels_alone(setting: Setting) -> None:
    """A softmax over what the engine says of them; their mass is of the whole vocabulary."""
    engine = ReadingEngine(logprobs=[(math.log(0.3), math.log(0.1))])
    ((decided,), _) = setting.decide(engine, question())
    assert decided.probabilities == pytest.approx((0.75, 0.25))
    assert decided.label_mass == pytest.approx(0.4)
    assert (decided.num_orders, decided.flips) == (1, 0)


def test_orders_are_read_back(setting: Setting) -> None:
    """An engine that always takes the first line has no preference, and flips."""
    setting.num_orders = 2
    engine = ReadingEngine(logprobs=[(-0.1, -2.5)])
    ((decided,), _) = setting.decide(engine, question())
    assert decided.probabilities == pytest.approx((0.5, 0.5))
    assert (decided.num_orders, decided.flips) == (2, 1)
    firm = ReadingEngine(logprobs=[(-0.1, -2.5), (-2.5, -0.1)])
    ((decided,), _) = setting.decide(firm, question())
    assert decided.probabilities[0] > 0.9
    assert decided.flips == 0


def test_more_labels_than_one_read_may_name(setting: Setting) -> None:
    """Are read in two parts, which are joined."""
    engine = ReadingEngine(logprobs=[(-6.0,), (-3.0,)])
    ((decided,), _) = setting.decide(engine, question(200))
    assert [len(ids) for ids in engine.asked] == [128, 72]
    ids = Labels.load(setting.encoder).ids
    assert engine.asked == [ids[:128], ids[128:200]]
    weight = 128 * math.exp(-6) + 72 * math.exp(-3)
    assert decided.probabilities[127] == pytest.approx(math.exp(-6) / weight)
    assert decided.probabilities[128] == pytest.approx(math.exp(-3) / weight)


def test_a_temperature(setting: Setting) -> None:
    """By the kind and the number of options."""
    setting.temperatures = Temperatures({"choice": {2: 2.0}})
    engine = ReadingEngine(logprobs=[(-0.1, -2.1)])
    ((decided,), _) = setting.decide(engine, question())
    assert math.log(decided.probabilities[0] / decided.probabilities[1]) == pytest.approx(1.0)


def test_the_first_read_is_alone_then_as_many_as_may_be(setting: Setting) -> None:
    """The others find the image with it; of the engine's 64 places at most 32 are taken."""
    engine = ReadingEngine()
    questions = [question(instructions=f"What {number}?") for number in range(100)]
    decided, prepared = setting.decide(engine, *questions)
    assert len(decided) == len(engine.generations) == 100
    assert engine.most_at_once == 32
    first, second = engine.generations[:2]
    assert first.images[0].key == second.images[0].key
    shared = prepared.shared.num_tokens
    assert first.prompt_ids[:shared] == second.prompt_ids[:shared]


@pytest.mark.parametrize(("said", "alone"), [("Hi", False), ("word " * 600, True)], ids=["short", "long"])
def test_of_short_texts_none_is_read_alone(setting: Setting, said: str, alone: bool) -> None:
    """The engine reads all in one step, in which the others find what the first begins with."""
    setting.conversation = Conversation((Turn("user", (said,)),), "input")
    engine = ReadingEngine()
    setting.decide(engine, *[question()] * 3)
    assert engine.beside == ([0, 0, 1] if alone else [0, 1, 2])


@dataclass
class LimitedEngine(ReadingEngine):
    """One with other limits than most."""

    chunk_tokens: int = 512
    short_tokens: int | None = None

    @property
    def limits(self) -> EngineLimits:
        return replace(super().limits, chunk_tokens=self.chunk_tokens, short_tokens=self.short_tokens)


def test_what_the_engine_reads_in_one_step(setting: Setting) -> None:
    """Is told by its limits: a prompt of two steps is read alone."""
    setting.conversation = Conversation((Turn("user", ("word " * 200,)),), "input")
    engine = LimitedEngine(chunk_tokens=128)
    setting.decide(engine, *[question()] * 3)
    assert engine.beside == [0, 0, 1]


def test_where_reads_straddle_the_short_factors(setting: Setting) -> None:
    """The first of the longer ones finds nothing of the shorter ones: it is the one that the others await."""
    short, long = question(), question(instructions="word " * 40)
    _, prepared = setting.decide(ReadingEngine(), short)
    engine = LimitedEngine(short_tokens=prepared.num_tokens)
    setting.decide(engine, short, long, short, long, long)
    assert engine.beside == [0, 1, 0, 1, 2]


def test_a_question_s_own_image_is_read_once(setting: Setting) -> None:
    """Whatever the orders of its options, and of other questions that begin with it."""
    setting.num_orders = 2
    own = ImagePlaceholder(data_url(encode(noise(80, 80))), "low", "questions[1].instructions[0]")
    first, second = (replace(question(), instructions=(own, said)) for said in ("Which?", "What?"))
    engine = ReadingEngine()
    setting.decide(engine, question(), first, second)
    # The very first; the other order beside the first that shows the image; then all others.
    assert engine.beside == [0, 0, 1, 0, 1, 2]


def test_labels_in_two_parts_are_of_one_prompt(setting: Setting) -> None:
    """Which is long where options are so many: it is computed once."""
    setting.conversation = Conversation((Turn("user", ("Hi",)),), "input")
    engine = ReadingEngine()
    setting.decide(engine, question(200), question(instructions="Who?"))
    first, second, third = (len(generation.prompt_ids) for generation in engine.generations)
    assert first == third > second
    assert engine.beside == [0, 1, 0]


def test_labels_are_verified_once(setting: Setting) -> None:
    """However many questions have as many."""
    engine = ReadingEngine()
    setting.decide(engine, *[question()] * 20, question(3))
    assert engine.admitted == [2, 2, 3]  # before the images are read, then for all that have as many


def test_counts(setting: Setting) -> None:
    """The shared input once, each question's own tokens once whatever the orders.

    What was cached before the request is told of the first read: others may find what this request left.
    """
    setting.num_orders = 2
    engine = ReadingEngine(cached=[16, 1000, 500, 500])
    _, prepared = setting.decide(engine, question(), question(instructions="And what about this?"))
    counts = prepared.counts()
    prompts = [len(generation.prompt_ids) for generation in engine.generations]
    shared = prepared.shared.num_tokens
    assert counts.prompt == prompts[0] + prompts[2] - shared
    assert counts.cached == 16
    assert (counts.completion, counts.image) == (0, 313)
    assert prepared.began_at is not None


def test_where_reads_are_not_apart(encoder: PromptEncoder, image_service: ImageService) -> None:
    """Nothing is decided: chats beside it would be told wrong figures."""

    class Mixing(ReadingEngine):
        @property
        def limits(self) -> EngineLimits:
            return replace(super().limits, reads_apart=False)

    preparer = SharedPreparer(encoder, image_service, PromptLimits(4096, 16, 4, 64))
    found = decider_of(Mixing(), preparer, Load(64, 256, 60), 1, Temperatures())
    assert isinstance(found, Undecided)
    assert "VLLM_USE_V2_MODEL_RUNNER" in found.reason
    assert isinstance(decider_of(ReadingEngine(), preparer, Load(64, 256, 60), 1, Temperatures()), Decider)


def test_a_failure_ends_all_and_leaves_the_place(setting: Setting) -> None:
    """As itself, not in a group."""
    setting.load = Load(64, 40, 60)
    for _ in range(3):
        with pytest.raises(EngineUnavailable):
            setting.decide(ReadingEngine(steps=[EngineUnavailable("gone")]), *[question()] * 40)
    setting.decide(ReadingEngine(), *[question()] * 40)


@dataclass(frozen=True, slots=True)
class WatchedQuestion(Question):
    """Tells on which threads it has been written into prompts."""

    threads: list[threading.Thread] = field(default_factory=list)

    def listed(self, order: Order, labels: Sequence[str]) -> str:
        self.threads.append(threading.current_thread())
        return Question.listed(self, order, labels)


@dataclass(frozen=True, slots=True)
class WatchedTemperatures(Temperatures):
    """Tells on which threads it has been asked."""

    threads: list[threading.Thread] = field(default_factory=list)

    def of(self, kind: Kind, num_options: int) -> float:
        self.threads.append(threading.current_thread())
        return 1.0


@pytest.mark.parametrize(("num_options", "on_loop"), [(20, True), (250, False)])
def test_many_options_are_not_gone_through_on_the_event_loop(
    num_options: int, on_loop: bool, setting: Setting
) -> None:
    """Neither when prompts are written nor when figures are made of what was read."""
    setting.temperatures = temperatures = WatchedTemperatures()
    asked = question(num_options)
    watched = WatchedQuestion(asked.kind, asked.instructions, asked.options, asked.param)
    setting.decide(ReadingEngine(), watched, watched, watched)
    threads = [*watched.threads, *temperatures.threads]
    assert len(threads) == 6
    assert all((thread is threading.main_thread()) is on_loop for thread in threads)


def test_nothing_is_written_before_there_is_room(setting: Setting) -> None:
    """Who is refused costs nothing."""
    setting.load = Load(64, 40, 60)
    places = [setting.load.enter(Line(0, owner), 15) for owner in ("another", "a third")]
    asked = question()
    watched = WatchedQuestion(asked.kind, asked.instructions, asked.options, asked.param)
    with pytest.raises(Overloaded):
        setting.decide(ReadingEngine(), *[watched] * 40)
    assert watched.threads == []
    assert len(places) == 2


def test_no_room(setting: Setting) -> None:
    """Is told before anything is read."""
    setting.load, engine = Load(64, 40, 60), ReadingEngine()
    places = [setting.load.enter(Line(0, owner), 15) for owner in ("another", "a third")]
    with pytest.raises(Overloaded):
        setting.decide(engine, *[question()] * 40)
    assert engine.generations == []
    for place in places:
        place.leave()
    setting.decide(engine, *[question()] * 40)


def test_a_deadline(setting: Setting) -> None:
    """Ends what is being read."""
    engine = ReadingEngine()
    with pytest.raises(DeadlineExceeded):
        setting.decide(engine, *[question()] * 3, deadline_s=0)
    assert engine.at_once == 0
