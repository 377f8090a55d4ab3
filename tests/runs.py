"""Results as a run would leave them, made up."""

from benchmarks.records import Context, Record, Results

CONTEXT = Context(
    "2026-01-01 00:00 UTC", "python -m benchmarks.run", {"repeat": 2}, {"CPU": "two"}, {"vllm": "0.32.0"}
)


def record(part: str, peer: str, workload: str, load: str, repetition: int = 0, **measures: float) -> Record:
    return Record(part, peer, workload, load, repetition, measures)


def results(*records: Record) -> Results:
    return Results(CONTEXT, records, {"phiserve on small": "python -m phiserve serve | cat"}, ("a note",))
