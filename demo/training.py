"""A trainer driven by steps: batches drawn by another process, Muon for matrices, checkpoints from which it
goes on.
"""

import math
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from multiprocessing.queues import Queue
from pathlib import Path
from queue import Empty
from typing import Any, Protocol

import torch
from torch import Tensor, nn

Arrays = tuple[Any, ...]

PRECISION = torch.float32 if torch.backends.cpu.get_cpu_capability() == "AVX2" else torch.bfloat16
"""What matrices are multiplied in: before AVX-512 bfloat16 takes ten times as long as float32."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A schedule: the rate rises over `warm_up` steps, stays, and falls to 0 over the last `decay` of all
    steps.
    """

    name: str
    steps: int
    muon_rate: float
    adam_rate: float
    warm_up: int = 50
    decay: float = 0.4
    save_every: int = 100
    say_every: int = 25

    def factor(self, step: int) -> float:
        """What rates are multiplied with at a step."""
        rising = (step + 1) / self.warm_up
        falling = (self.steps - step) / (self.decay * self.steps)
        return max(0.0, min(1.0, rising, falling))


class Task(Protocol):
    """What is trained: a module that can draw the batch of a step and tell its loss and measures."""

    def batch(self, step: int) -> Arrays:
        """Arrays, the same for the same step."""
        ...

    def loss(self, *batch: Tensor) -> tuple[Tensor, dict[str, float]]:
        """Loss and measures."""
        ...


class TrainedModule(Task, Protocol):
    """A task that is a torch module."""

    def parameters(self) -> Iterator[nn.Parameter]: ...  # noqa: D102 - torch's
    def state_dict(self) -> dict[str, Any]: ...  # noqa: D102 - torch's
    def load_state_dict(self, state: dict[str, Any]) -> Any: ...  # noqa: D102 - torch's


class Optimizers:
    """Muon for matrices, AdamW for all else (embeddings are marked `is_table`); a parameter's `rate_scale`
    scales its rate.
    """

    def __init__(self, parameters: list[nn.Parameter], plan: Plan) -> None:
        matrices = [p for p in parameters if p.ndim == 2 and not getattr(p, "is_table", False)]
        self._others = [p for p in parameters if p.ndim != 2 or getattr(p, "is_table", False)]
        self._plan = plan
        self.all = (
            torch.optim.Muon(_by_scale(matrices), lr=plan.muon_rate, weight_decay=0.01, momentum=0.95),
            torch.optim.AdamW(
                _by_scale(self._others), lr=plan.adam_rate, weight_decay=0.0, betas=(0.9, 0.97), fused=True
            ),
        )

    def step(self, step: int) -> None:
        """Apply the gradients with this step's rates."""
        nn.utils.clip_grad_norm_(self._others, 1.0)
        for optimizer, rate in zip(self.all, (self._plan.muon_rate, self._plan.adam_rate), strict=True):
            for group in optimizer.param_groups:
                group["lr"] = rate * self._plan.factor(step) * group["scale"]
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)


def _orthogonal(grad: Tensor, coefficients: tuple[float, float, float], steps: int, eps: float) -> Tensor:
    """What torch's Muon makes of a matrix's gradient (Newton and Schulz's iteration), in float32."""
    a, b, c = coefficients
    is_tall = grad.size(0) > grad.size(1)
    x = grad.T if is_tall else grad
    x = x / x.norm().clamp(min=eps)
    for _ in range(steps):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if is_tall else x


if PRECISION is torch.float32:  # torch's own is always in bfloat16
    setattr(torch.optim._muon, "_zeropower_via_newtonschulz", _orthogonal)  # noqa: B010, SLF001


def _by_scale(parameters: list[nn.Parameter]) -> list[dict[str, Any]]:
    groups: dict[float, list[nn.Parameter]] = defaultdict(list)
    for parameter in parameters:
        groups[getattr(parameter, "rate_scale", 1.0)].append(parameter)
    return [{"params": group, "scale": scale} for scale, group in groups.items()]


def train(task: TrainedModule, plan: Plan, folder: Path) -> None:
    """Train to the plan's last step, going on from the checkpoint in `folder` if there is one."""
    optimizers = Optimizers(list(task.parameters()), plan)
    path = folder / f"{plan.name}.pt"
    step = _restore(task, optimizers, path)
    told: dict[str, list[float]] = defaultdict(list)
    since = time.monotonic()
    for batch in _batches(task, step, plan.steps):
        with torch.autocast("cpu", torch.bfloat16, enabled=PRECISION is torch.bfloat16):
            loss, measures = task.loss(*batch)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizers.step(step)
        step += 1
        for name, value in {"loss": loss.item(), **measures}.items():
            told[name] += [value] * math.isfinite(value)
        if step % plan.say_every == 0:
            seconds = (time.monotonic() - since) / plan.say_every
            means = (
                f"{name}={sum(values) / len(values):.4f}" for name, values in sorted(told.items()) if values
            )
            print(f"{step} {seconds:.2f}s/step", *means, flush=True)
            told.clear()
            since = time.monotonic()
        if step % plan.save_every == 0 or step == plan.steps:
            _save(task, optimizers, step, path)


def _restore(task: TrainedModule, optimizers: Optimizers, path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        return 0
    state = torch.load(path)
    task.load_state_dict(state["task"])
    for optimizer, saved in zip(optimizers.all, state["optimizers"], strict=True):
        optimizer.load_state_dict(saved)
    return int(state["step"])


def _save(task: TrainedModule, optimizers: Optimizers, step: int, path: Path) -> None:
    """Write a checkpoint; it appears whole or not at all."""
    partial = path.with_suffix(".partial")
    state = {
        "task": task.state_dict(),
        "optimizers": [optimizer.state_dict() for optimizer in optimizers.all],
        "step": step,
    }
    torch.save(state, partial)
    partial.replace(path)


def _batches(task: Task, first: int, last: int) -> Iterator[tuple[Tensor, ...]]:
    """Batches of the steps from `first` on, drawn ahead by a process of its own."""
    context = get_context("fork")
    queue: Queue[Arrays] = context.Queue(4)
    process = context.Process(target=_draw, args=(task, first, last, queue), daemon=True)
    process.start()
    try:
        for _ in range(first, last):
            batch = _next(queue, process)
            yield tuple(torch.from_numpy(array) if hasattr(array, "shape") else array for array in batch)
    finally:
        process.kill()
        process.join()


def _next(queue: "Queue[Arrays]", process: BaseProcess) -> Arrays:
    """The next batch. Raises RuntimeError if the process that draws has ended without it."""
    while True:
        alive = process.is_alive()  # asked first: what it put before it ended is still taken
        try:
            return queue.get(timeout=1)
        except Empty:
            if not alive:
                raise RuntimeError("The process that draws batches has ended") from None


def _draw(task: Task, first: int, last: int, queue: "Queue[Arrays]") -> None:
    torch.set_num_threads(1)
    for step in range(first, last):
        queue.put(task.batch(step))
