"""What all parts of a run share: where things are, how much is measured, and servers started in turn."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from benchmarks.checkpoints import beside_code, blank, torchvision_is_missing
from benchmarks.machine import best_dtype
from benchmarks.peers import PHISERVE, VLLM, Launch, RunningPeer, phiserve, plain_vllm, running
from benchmarks.processes import memory, use
from benchmarks.records import Record, ResultsFile
from benchmarks.settings import EngineSettings

STAND_IN_NOTE = (
    "torchvision does not import beside this torch: a stand-in of what the model repository's image "
    "processor calls (`benchmarks/torchvision_stand_in.py`) took its place for plain vLLM and transformers."
)
NO_CODE_NOTE = (
    "Plain vLLM was not measured: it needs the model repository's code (`--reference-code`), {reason}."
)


LEAST = 128
"""Requests of which fewer tell little: 64 clients send two each."""


@dataclass
class Bench:
    """A run under way. `code`: the model repository's code, or None; `repeat`: how often all peers have their
    turn; `share`: of the requests of a full run, where there are more than `LEAST`.
    """

    results: ResultsFile
    work: Path
    code: Path | None
    short: bool
    repeat: int
    share: float = 1
    settings: EngineSettings = field(default_factory=lambda: EngineSettings(dtype=best_dtype()))

    @cached_property
    def stand_in(self) -> bool:
        """Whether torchvision's stand-in is used; written down if so."""
        missing = torchvision_is_missing()
        if missing:
            self.results.note(STAND_IN_NOTE)
        return missing

    @property
    def peers(self) -> tuple[str, ...]:
        """Who can be measured, in turn."""
        return (PHISERVE,) if self.code is None else (PHISERVE, VLLM)

    def count(self, full: int, short: int) -> int:
        """A number of requests."""
        return short if self.short else min(full, max(LEAST, round(full * self.share)))

    def launch(self, peer: str, checkpoint: str, settings: EngineSettings | None = None) -> Launch:
        """What starts a peer on a checkpoint of `checkpoints.SHAPES`."""
        folder = blank(self.work, checkpoint)
        chosen = settings or self.settings
        if peer == PHISERVE:
            return phiserve(folder, chosen)
        return plain_vllm(self.with_code(checkpoint), chosen, self.work)

    def with_code(self, checkpoint: str) -> Path:
        """A checkpoint's folder with the model repository's code. Raises RuntimeError where there is none."""
        if self.code is None:
            raise RuntimeError("the model repository's code is not here")
        return beside_code(self.work, blank(self.work, checkpoint), self.code, stand_in=self.stand_in)

    @contextmanager
    def serving(
        self, peer: str, checkpoint: str, settings: EngineSettings | None = None, **variables: str
    ) -> Iterator[RunningPeer]:
        """A running server; its command is written down. `variables`: of the environment, for this server
        alone.
        """
        launch = self.launch(peer, checkpoint, settings)
        launch = replace(launch, variables={**launch.variables, **variables})
        self.results.command(", ".join([f"{peer} on {checkpoint}", *variables]), launch.told)
        with running(
            launch, self.work / "logs" / f"{self.results.path.stem}-{peer}-{checkpoint}.log"
        ) as server:
            yield server

    def in_turn(
        self,
        part: str,
        checkpoint: str,
        measure: Callable[[RunningPeer, int], Iterable[Record]],
        variants: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        """A B A B: every peer is started, measured and ended, again and again, so that drift of the machine
        hits all alike.

        `variants` are phiserve as well, each with variables of the environment and measured under a name of
        its own. One that fails is left out from then on; the others go on. Raises RuntimeError in the end.
        """
        failures: dict[str, str] = {}
        turns: dict[str, tuple[str, Mapping[str, str]]] = {peer: (peer, {}) for peer in self.peers}
        turns |= {name: (PHISERVE, variables) for name, variables in (variants or {}).items()}
        for repetition in range(self.repeat):
            for name in (name for name in turns if name not in failures):
                print(f"{part}: {name}, {repetition + 1} of {self.repeat}", flush=True)
                peer, variables = turns[name]
                try:
                    with self.serving(peer, checkpoint, None, **variables) as started:
                        server = replace(started, name=name)
                        self.results.add(measure(server, repetition))
                        self.results.add([session_record(part, server, repetition)])
                except (RuntimeError, OSError) as error:
                    failures[name] = str(error)
        if failures:
            raise RuntimeError("; ".join(f"{name}: {failure}" for name, failure in failures.items()))


def session_record(part: str, server: RunningPeer, repetition: int) -> Record:
    """What a server took as a whole: seconds to ready, most memory."""
    measures = {"ready_s": server.ready_s, **memory(use(server.pid).values())}
    return Record(part, server.name, "session", "", repetition, measures)
