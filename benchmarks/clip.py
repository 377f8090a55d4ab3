"""Part `clip`: photos on a checkpoint with CLIP's real 23 layers, where the crops that are not padding decide."""

from benchmarks.bench import Bench
from benchmarks.load import Closed, Load
from benchmarks.serving import serve
from benchmarks.workloads import Workload, pictures


def clip(bench: Bench) -> None:
    """4:3 photos of 16 crops, and the same with `detail: low`; some ten seconds of computing each for a server that sees all."""
    photo, low = pictures("1 MP", answer_tokens=4), pictures("1 MP", detail="low", answer_tokens=4)
    plan: list[tuple[Workload, Load, int]] = [(photo, Closed(2), bench.count(6, 2)), (low, Closed(2), bench.count(6, 2))]
    serve("clip", bench, "clip23", plan)
