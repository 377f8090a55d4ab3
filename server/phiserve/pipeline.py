"""The life of a request, from the inner request to the engine's deltas.

One orchestration, no wire format and no vLLM.
"""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from functools import partial

from phiserve.core import GenerationRequest
from phiserve.deadline import Deadline
from phiserve.engine.interface import Admission, Delta, EngineClient, Generation, PromptImage
from phiserve.errors import InvalidRequest
from phiserve.preparation import PreparedImage, PreparedPrompt, PromptPreparer
from phiserve.vision.images import ImageService, image_key


@dataclass(frozen=True, slots=True)
class PreparedRequest:
    """A request that has passed every check before the engine.

    It does not hold the conversation, which may be large.
    """

    id: str
    prompt: PreparedPrompt
    admission: Admission
    cache_salt: str | None = None
    deadline: Deadline | None = None


class Pipeline:
    """Turns requests into deltas. Holds the parts; each request's state is in `PreparedRequest`."""

    def __init__(
        self, engine: EngineClient, preparer: PromptPreparer, images: ImageService, max_choices: int
    ) -> None:
        self._engine = engine
        self._preparer = preparer
        self._images = images
        self._max_choices = max_choices

    async def prepare(self, request: GenerationRequest) -> PreparedRequest:
        """Everything before the engine's work, cheapest checks first.

        Whether the engine would take the request at all, then the prompt. Raises InvalidRequest,
        InvalidImage, ContextLengthExceeded, Overloaded, EngineUnavailable or DeadlineExceeded.
        """
        deadline = None if request.deadline_s is None else Deadline(request.deadline_s)
        if request.num_choices > self._max_choices:
            reason = f"this server gives at most {self._max_choices} choices (max_choices)"
            raise InvalidRequest(reason, param="n")
        admission = await self._engine.admit(request)
        preparing = self._preparer.prepare(
            request.conversation, request.stops.max_tokens, request.cache_salt, request.tenant
        )
        prompt = await (preparing if deadline is None else deadline.bound(preparing))
        if request.stops.min_tokens > prompt.max_tokens:
            reason = f"the context leaves room for {prompt.max_tokens} tokens"
            raise InvalidRequest(reason, param="min_tokens")
        return PreparedRequest(request.id, prompt, admission, request.cache_salt, deadline)

    def deltas(self, prepared: PreparedRequest) -> AsyncGenerator[Delta, None]:
        """Run a prepared request. Closing the generator aborts it.

        Raises as `EngineClient.generate`, InvalidImage and DeadlineExceeded.
        """
        prompt = prepared.prompt
        images = tuple(map(self._prompt_image, prompt.images))
        deltas = self._engine.generate(
            Generation(
                prepared.id, prompt.ids, images, prepared.admission, prompt.max_tokens, prepared.cache_salt
            )
        )
        return deltas if prepared.deadline is None else prepared.deadline.bound_each(deltas)

    def _prompt_image(self, image: PreparedImage) -> PromptImage:
        return PromptImage(
            key=image_key(image.encoded.digest, image.plan),
            plan=image.plan,
            offset=image.offset,
            load=partial(self._images.crops, image.encoded, image.plan),
        )
