"""Part `clip`: photos on a checkpoint with CLIP's real 23 layers, where the crops that are not padding
decide.
"""

from benchmarks.bench import Bench
from benchmarks.load import Closed
from benchmarks.serving import Plan, serve
from benchmarks.workloads import images, texts


def clip(bench: Bench) -> None:
    """4:3 photos of 16 crops, and the same with `detail: low`. Warmed up with text: a photo takes a minute on
    some machines.
    """
    serve("clip", bench, "clip23", clip_plan(bench), warm_with=[texts(answer_tokens=2)])


def clip_plan(bench: Bench) -> Plan:
    """Two clients, so that one's image is prepared while the other's is computed."""
    photo, low = images("1 MP", answer_tokens=4), images("1 MP", detail="low", answer_tokens=4)
    return [(photo, Closed(2), bench.count(4, 2)), (low, Closed(2), bench.count(4, 2))]
