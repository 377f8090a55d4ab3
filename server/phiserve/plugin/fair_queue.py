"""The scheduler's queue: it takes turns between owners, where vLLM's own goes by arrival alone."""

from collections import Counter
from collections.abc import Iterable, Iterator

from vllm.v1.core.sched.request_queue import RequestQueue
from vllm.v1.request import Request

from phiserve.turns import Line, Turns, holder_of, may_hold, request_cost

OWNER_KEY = "phiserve_owner"
"""Where a request's sampling parameters say whose it is (`SamplingParams.extra_args`)."""


class FairRequestQueue(RequestQueue):
    """Requests that wait to be scheduled, to run in one of `places`.

    Those that may not begin now are as good as absent when vLLM asks for the next one, but still counted.
    """

    def __init__(self, places: int) -> None:
        self._turns: Turns[Request] = Turns()
        self._places = places
        self._held: Counter[Line] = Counter()
        self._left_out: frozenset[Line] = frozenset()
        self._keeping: set[Request] = set()

    def begin_step(self, held: Counter[Line], left_out: frozenset[Line]) -> None:
        """A step begins: `held` are the places in use, `left_out` the lines of which none may begin."""
        self._left_out = left_out
        self._held = Counter()
        for line, number in held.items():
            self._held[holder_of(line)] += number
        for request in self._keeping:
            self._held[holder_of(line_of(request))] += 1

    @property
    def lines(self) -> list[Line]:
        """The lines in which requests wait."""
        return self._turns.lines

    def head(self, line: Line) -> Request:
        """The first request of a line."""
        return self._turns.head(line)

    def may_begin(self, line: Line) -> bool:
        """Whether the first request of this line may join the step, as far as places go."""
        if line in self._left_out:
            return False
        return self.head(line) in self._keeping or may_hold(self._held, line, 1, self._places)

    def keep_place(self, request: Request) -> None:
        """A request that ran and was put back goes on in its place, which nobody else gets meanwhile."""
        self._keeping.add(request)

    def add_request(self, request: Request) -> None:
        """Put a request at the end of its line."""
        self._turns.add(line_of(request), _cost(request), request)

    def pop_request(self) -> Request:
        """Take the request whose turn it is."""
        line = self._next_line()
        request = self._turns.take(line)
        if request in self._keeping:
            self._keeping.remove(request)
        else:
            self._held[holder_of(line)] += 1
        return request

    def peek_request(self) -> Request:
        """The request whose turn it is."""
        return self._turns.head(self._next_line())

    def prepend_request(self, request: Request) -> None:
        """Put back a request that was taken, or one that ran and had to make room."""
        line = line_of(request)
        self._held[holder_of(line)] -= 1
        self._turns.put_back(line, _cost(request), request)

    def prepend_requests(self, requests: Iterable[Request]) -> None:
        """Put back requests that were taken, the last of them first in line."""
        for request in requests:
            self.prepend_request(request)

    def remove_request(self, request: Request) -> None:
        """Remove a request that nobody waits for any more."""
        self.remove_requests((request,))

    def remove_requests(self, requests: Iterable[Request]) -> None:
        """Remove requests that nobody waits for any more."""
        removed = set(requests)
        self._keeping -= removed
        self._turns.remove(removed)

    def forget_idle(self, *, nothing_runs: bool) -> None:
        """Forget owners that have nothing here and no advance over the others."""
        self._turns.forget(idle=nothing_runs)

    def __bool__(self) -> bool:
        """Whether a request may begin now."""
        return self._turns.next_line(self.may_begin) is not None

    def __len__(self) -> int:
        return len(self._turns)

    def __iter__(self) -> Iterator[Request]:
        return iter(self._turns)

    def _next_line(self) -> Line:
        line = self._turns.next_line(self.may_begin)
        if line is None:
            raise IndexError("no request may begin")
        return line


def line_of(request: Request) -> Line:
    """Whose turn a request waits for."""
    params = request.sampling_params
    extra = params.extra_args if params is not None else None
    return Line(request.priority, extra.get(OWNER_KEY) if extra else None)


def _cost(request: Request) -> int:
    return request_cost(request.num_prompt_tokens, request.max_tokens)
