"""The inner request: what every surface asks for, in the server's own nouns.

A surface (chat completions, ...) translates its body into a `GenerationRequest`; all that follows is shared
by every surface. Knows no wire format, no prompt and no engine.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from msgspec import Struct
from pydantic import JsonValue

from phiserve.constraints.constraint import Constraint
from phiserve.turns import Line

Role = Literal["system", "user", "assistant"]  # who speaks in a turn of the prompt

Detail = Literal["auto", "low", "high"]
"""How closely to look at an image: one crop, as many as the model takes, or as many of these as fit."""

FinishReason = Literal["stop", "length"]
"""Why a choice ended: the model or a stop string ended it, or the token limit did."""


@dataclass(frozen=True, slots=True)
class ImagePlaceholder:
    """An image's position in a conversation.

    `url` says where it is, `detail` how closely to look, `param` is the path of its value in the request.
    `uuid` is the client's name for it, beside that value. `file_id`: an uploaded file's; `url` is empty then.
    """

    url: str
    detail: Detail
    param: str
    uuid: str | None = None
    file_id: str | None = None

    @property
    def uuid_param(self) -> str:
        """The path of the client's name."""
        return f"{self.param.rpartition('.')[0]}.uuid"


@dataclass(frozen=True, slots=True)
class DocumentPlaceholder:
    """A file's position in a conversation: the pages of a PDF are shown there, each as an image.

    `url`, `detail`, `param` and `file_id` are as an image's. `part` is the path of what holds the file and
    what is said of it. `pages`: which are shown, counted from 1; None for all.
    """

    url: str
    detail: Detail
    param: str
    part: str
    pages: tuple[int, ...] | None = None
    file_id: str | None = None


Part = str | ImagePlaceholder | DocumentPlaceholder
"""Literal text, an image, or a file that has not been read yet."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn: its role and its parts in order. Adjacent texts are already joined (see `chat.joining`)."""

    role: Role
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class RawPrompt:
    """A prompt that is no conversation: literal text, or ids that are taken as they are.

    The answer goes on where it ends. `param` is the prompt's path in the request. `with_bos`: a text follows
    `<s>`, as the model was trained.
    """

    content: str | tuple[int, ...]
    param: str = "prompt"
    with_bos: bool = True

    @property
    def owner(self) -> str:
        """It names no files."""
        return ""

    @property
    def images(self) -> tuple[ImagePlaceholder, ...]:
        """It shows none."""
        return ()

    shown = images  # and no files

    @property
    def num_characters(self) -> int:
        """Length of its text; ids have none that would have to be encoded."""
        return len(self.content) if isinstance(self.content, str) else 0

    @property
    def text_before(self) -> str:
        """The text that its answer goes on with; "" for ids, whose text is the vocabulary's to say."""
        return self.content if isinstance(self.content, str) else ""


@dataclass(frozen=True, slots=True)
class Conversation:
    """All turns so far, ready to be encoded; the answer is the next turn.

    `is_open`: the last turn, an assistant's, has not ended, and the answer goes on with it. `truncates`:
    where not all turns fit into the context, the oldest are left out. `param` is the conversation's path in
    the request. `owner`: whose uploaded files it may name.
    """

    turns: tuple[Turn, ...]
    param: str = "messages"
    is_open: bool = False
    truncates: bool = False
    owner: str = ""

    @property
    def images(self) -> tuple[ImagePlaceholder, ...]:
        """All images, in order."""
        return tuple(part for turn in self.turns for part in turn.parts if isinstance(part, ImagePlaceholder))

    @property
    def shown(self) -> tuple[ImagePlaceholder | DocumentPlaceholder, ...]:
        """All images and files, in order."""
        return tuple(part for turn in self.turns for part in turn.parts if not isinstance(part, str))

    @property
    def num_characters(self) -> int:
        """Length of all text."""
        return sum(len(part) for turn in self.turns for part in turn.parts if isinstance(part, str))

    @property
    def text_before(self) -> str:
        """The text of the last turn, if it is an assistant's."""
        if not self.turns or self.turns[-1].role != "assistant":
            return ""
        return "".join(part for part in self.turns[-1].parts if isinstance(part, str))


@dataclass(frozen=True, slots=True)
class Tool:
    """A function of the client's that the model may ask for. `parameters` is a JSON schema of an object."""

    name: str
    parameters: Mapping[str, JsonValue]
    description: str | None = None


@dataclass(frozen=True, slots=True)
class ToolUse:
    """Which tools the model is told of, and which calls an answer is made of.

    `callable_names`: the tools that may be called in this answer. `must_call`: whether it has to be calls;
    otherwise it may be text. `max_calls`: how many at most.
    """

    tools: tuple[Tool, ...]
    callable_names: tuple[str, ...]
    must_call: bool
    max_calls: int


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a tool, as the model asked for it; `arguments` is JSON text, cut where the answer was cut."""

    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class SamplingOptions:
    """How the next token is chosen.

    Defaults are OpenAI's and vLLM's; `top_k` 0 and `min_p` 0 leave all tokens in, `allowed_token_ids` alone
    those, and `bad_words` those that complete none of them.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    seed: int | None = None
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    repetition_penalty: float = 1.0
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    allowed_token_ids: tuple[int, ...] | None = None
    bad_words: tuple[str, ...] = ()

    @property
    def is_greedy(self) -> bool:
        """Whether only the most likely token can be chosen; `top_p` 0 has the effect of `temperature` 0."""
        return self.temperature == 0 or self.top_p == 0


@dataclass(frozen=True, slots=True)
class StopConditions:
    """When a choice ends.

    `max_tokens` None means: when the context is full. `ignore_eos` means: not at the model's own end tokens.
    """

    max_tokens: int | None = None
    min_tokens: int = 0
    strings: tuple[str, ...] = ()
    token_ids: tuple[int, ...] = ()
    ignore_eos: bool = False


MAX_READ_TOKENS = 128  # whose log-probabilities one request may name; vLLM's MAX_LOGPROB_TOKEN_IDS

Prompt = Conversation | RawPrompt  # what an answer follows


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """What a surface asks for.

    `top_logprobs`: None for no log-probabilities, 0 for the chosen token's alone, k for the k most likely as
    well. `read_token_ids`: log-probabilities of exactly these tokens at each position, in place of the most
    likely ones' (at most `MAX_READ_TOKENS`). `stream`: deltas as they come; otherwise one for each choice,
    at the end. `echo`: the answer's text begins with the text that it follows: a raw prompt, or the last
    answer of a conversation.

    `tenant` is whose request it is: a key's owner or, where there are no keys, a client's address. Requests
    share cached prefixes and images only under equal `cache_salt`. `deadline_s`: seconds from arrival
    after which nobody waits any more, None for no such moment. `priority`: 0 for a request that somebody
    waits for, 1 for batch work, which comes behind. `is_sent_once`: where an engine ends, it waits for none.
    """

    id: str
    conversation: Prompt
    sampling: SamplingOptions = field(default_factory=SamplingOptions)
    stops: StopConditions = field(default_factory=StopConditions)
    constraint: Constraint | None = None
    top_logprobs: int | None = None
    read_token_ids: tuple[int, ...] | None = None
    num_choices: int = 1
    stream: bool = False
    echo: bool = False
    priority: int = 0
    is_sent_once: bool = False
    deadline_s: float | None = None
    tenant: str | None = None
    cache_salt: str | None = None

    @property
    def keeps_first_space(self) -> bool:
        """Whether a space that the answer begins with belongs to its text.

        It does where a form asks for it, and where the answer goes on with a turn that has begun.
        """
        if self.constraint is not None and self.constraint.keeps_first_space:
            return True
        conversation = self.conversation
        is_open = isinstance(conversation, Conversation) and conversation.is_open
        return is_open and conversation.text_before != ""

    @property
    def line(self) -> Line:
        """Where it waits, for threads and for the engine: tenants take turns, batch work comes last."""
        return Line(self.priority, self.tenant)


class TopLogprob(Struct, frozen=True):
    """A candidate at one position."""

    token: str
    logprob: float
    bytes: list[int]


class TokenLogprob(Struct, frozen=True):
    """The chosen token at one position and the most likely candidates."""

    token: str
    logprob: float
    bytes: list[int]
    top_logprobs: list[TopLogprob]


@dataclass(frozen=True, slots=True)
class TokenCounts:
    """Exact token counts of a request.

    `completion` sums over all choices; `cached` and `image` are parts of `prompt`.
    """

    prompt: int
    completion: int
    cached: int
    image: int
