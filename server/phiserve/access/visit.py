"""One request, from its head to the end of its answer, kept to what its key may ask for."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate

from prometheus_client import Counter as Metric

from phiserve.access.accounts import RequestAccounts
from phiserve.access.budgets import Budgets
from phiserve.access.key import UNITS, Key
from phiserve.core import DocumentPlaceholder, ImagePlaceholder, TokenCounts
from phiserve.errors import InvalidRequest, RateLimitReached

REFUSED = Metric("phiserve_access_refused", "Requests refused for their key or its limits.", ["reason"])

_Shown = Sequence[ImagePlaceholder | DocumentPlaceholder]

_DETAILS = ("low", "auto", "high")
"""How closely to look, the cheapest first."""


class Visit:
    """One request, from its head to the end of its answer; this one without a key: all is allowed.

    `owner` is whose request it is, `cache_salt` what separates the owner's cached prompts and images from
    those of others; both are None without keys.
    """

    owner: str | None = None
    cache_salt: str | None = None

    async def take_images(self, shown: _Shown) -> None:
        """Check and count the images of the request, before any is fetched or decoded.

        Files count as one image each; `take_pages` counts the rest of their pages, once these are known.
        Raises InvalidRequest for one that is to be looked at more closely than the key allows and for more
        images than a minute has, RateLimitReached for more than are left.
        """

    async def take_pages(self, shown: _Shown, counts: Sequence[int]) -> None:
        """Count the pages of files, before any is read or drawn: `counts` images for each that is `shown`.

        Raises as `take_images`.
        """

    async def take_prompt(self, num_tokens: int, param: str) -> None:
        """Count the prompt's tokens, image tokens among them; `param` is its path in the request.

        Raises InvalidRequest for more than a minute has, RateLimitReached for more than are left.
        """

    def answering(self, counts: Callable[[], TokenCounts]) -> None:
        """From now on `counts` tells the tokens of the answer, which are charged when the visit ends."""

    def only_follows(self) -> None:
        """What is left of the request is told of work that is counted by itself: it runs no longer."""


def _nothing() -> None:
    """For visits that take no place."""


class KeyVisit(Visit):
    """One request with a key, kept to what the key may ask for. Make it with `Gate.enter`.

    `leave`: gives its place among those that run at once back, however often it is called. `least_left`: the
    share of each limit that must be left for it to use any. `is_tried_again`: what it is refused passes.
    """

    def __init__(
        self,
        key: Key,
        cache_salt: str,
        budgets: Budgets,
        leave: Callable[[], None] = _nothing,
        *,
        least_left: float = 0,
        is_tried_again: bool = False,
    ) -> None:
        self.owner = key.owner
        self.cache_salt = cache_salt
        self._accounts = RequestAccounts(key.accounts, budgets, least_left)
        self.is_tried_again = is_tried_again
        self._counts: Callable[[], TokenCounts] | None = None
        self._leave = leave

    async def begin(self) -> None:
        """Count the request. Raises RateLimitReached, also where no token is left for its prompt."""
        with self._refusals_counted("requests"):
            await self._accounts.take("requests", 1)
        with self._refusals_counted("tokens"):
            await self._accounts.require("tokens", 1)

    async def begin_in_batch(self) -> None:
        """Count a request of a batch: of each limit per minute, a half is for those that somebody waits for.

        Raises RateLimitReached, which is no refusal: the request is tried again.
        """
        for unit in UNITS:
            await self._accounts.require_share(unit)
        await self._accounts.take("requests", 1)

    async def give_back(self) -> None:
        """Nothing came of the request, which is tried again: it has used nothing."""
        await self._accounts.give_back()

    async def take_images(self, shown: _Shown) -> None:
        """Check and count the images. See `Visit.take_images`."""
        for placeholder in shown:
            self._check_detail(placeholder)
        self._check_number(shown, [1] * len(shown))
        with self._refusals_counted("images"):
            await self._accounts.take("images", len(shown))

    async def take_pages(self, shown: _Shown, counts: Sequence[int]) -> None:
        """Count the images that are not counted yet. See `Visit.take_pages`."""
        num_more = sum(counts) - len(shown)
        if num_more > 0:
            self._check_number(shown, counts)
            with self._refusals_counted("images"):
                await self._accounts.take("images", num_more)

    def _check_number(self, shown: _Shown, counts: Sequence[int]) -> None:
        """Raises InvalidRequest for more images than a minute has, at the first that goes beyond them."""
        limit = self._accounts.smallest("images")
        if limit is None:
            return
        for placeholder, total in zip(shown, accumulate(counts), strict=True):
            if total > limit.amount:
                whose = limit.account.whose
                reason = (
                    f"the request has {sum(counts)} images; the {whose}'s limit is {limit.amount} per minute"
                )
                raise InvalidRequest(reason, param=placeholder.param, code="too_many_images")

    async def take_prompt(self, num_tokens: int, param: str) -> None:
        """Count the prompt's tokens. See `Visit.take_prompt`."""
        limit = self._accounts.smallest("tokens")
        if limit is not None and num_tokens > limit.amount:
            whose = limit.account.whose
            reason = f"the prompt has {num_tokens} tokens; the {whose}'s limit is {limit.amount} per minute"
            raise InvalidRequest(reason, param=param)
        with self._refusals_counted("tokens"):
            await self._accounts.take("tokens", num_tokens)

    def answering(self, counts: Callable[[], TokenCounts]) -> None:
        """Remember how the answer's tokens are counted. See `Visit.answering`."""
        self._counts = counts

    def only_follows(self) -> None:
        """Give back its place among those that run at once. See `Visit.only_follows`."""
        self._leave()

    async def end(self) -> None:
        """Give back its place; charge the answer's tokens, however it ended, even beyond what is left."""
        self._leave()
        if self._counts is not None and (amount := self._counts().completion):
            await self._accounts.charge("tokens", amount)

    def headers(self) -> dict[str, str]:
        """`x-ratelimit-…` as OpenAI sends them, for the tighter of the key's and the owner's limits."""
        headers: dict[str, str] = {}
        for unit, standing in self._accounts.standings.items():
            if unit != "images":
                headers[f"x-ratelimit-limit-{unit}"] = str(standing.limit)
                headers[f"x-ratelimit-remaining-{unit}"] = str(standing.remaining)
                headers[f"x-ratelimit-reset-{unit}"] = duration_text(standing.reset_s)
        return headers

    def _check_detail(self, image: ImagePlaceholder | DocumentPlaceholder) -> None:
        for account in self._accounts:
            most = account.limits.max_detail
            if most is not None and _DETAILS.index(image.detail) > _DETAILS.index(most):
                REFUSED.labels("detail").inc()
                reason = (
                    f"the {account.whose} allows {most!r} at most, and the image asks for {image.detail!r}"
                )
                holder = image.part if isinstance(image, DocumentPlaceholder) else image.param
                raise InvalidRequest(reason, param=f"{holder}.detail")

    @contextmanager
    def _refusals_counted(self, reason: str) -> Iterator[None]:
        """What is tried again is not refused."""
        try:
            yield
        except RateLimitReached:
            if not self.is_tried_again:
                REFUSED.labels(reason).inc()
            raise


def duration_text(seconds: float) -> str:
    """A duration as OpenAI writes it: `0s`, `20ms`, `1.5s`, `6m0s`; rounded up to milliseconds."""
    milliseconds = math.ceil(seconds * 1000)
    if 0 < milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60_000)
    text = f"{rest / 1000:.3f}".rstrip("0").rstrip(".") + "s"
    return f"{minutes}m{text}" if minutes else text
