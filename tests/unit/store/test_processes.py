"""Several processes, and killed ones: what was acknowledged is there, and nothing is half there."""

import random
import subprocess
import sys
import time

import store_process
from phiserve.store.interface import Store
from stored import conversation, ids_in, items, left_alone, on_store, response

SCRIPT = store_process.__file__
ROUNDS = 3


def start(*arguments: str) -> subprocess.Popen[str]:
    """A process that stores or claims."""
    return subprocess.Popen(  # noqa: S603 - our own script
        [sys.executable, SCRIPT, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def test_killed_while_it_writes(state_url: str) -> None:
    """At random moments, two at once: each acknowledged response is there, and all are whole."""
    chance = random.Random(5)
    acknowledged: list[str] = []
    on_store(state_url, lambda store: store.create_conversation(conversation(), []))
    for n in range(ROUNDS):
        writers = [start("write", state_url, f"{n}_{which}") for which in "ab"]
        for writer in writers:
            assert writer.stdout is not None
            acknowledged += [writer.stdout.readline().strip() for _ in range(chance.randint(1, 8))]
        time.sleep(chance.uniform(0, 0.03))  # anywhere in a transaction
        for writer in writers:
            writer.kill()
            assert writer.stdout is not None
            acknowledged += writer.stdout.read().split()
            writer.communicate()

    async def check(store: Store) -> None:
        stored = [item_id.removesuffix("_in") for item_id in (await ids_in(store) or [])[::2]]
        assert {*acknowledged} <= {*stored}
        assert len(stored) - len(acknowledged) <= 2 * ROUNDS  # done, and killed before it could say so
        expected = [f"{name}{side}" for name in stored for side in ("_in", "_out")]
        assert await ids_in(store) == expected
        for name in stored:
            found = await store.response("", name)
            assert found is not None
            assert (*found.context, *found.output) == (f"{name}_in", f"{name}_out")
        assert len(await store.items("", expected)) == len(expected)

    on_store(state_url, check)


def test_processes_claim_different_responses(state_url: str) -> None:
    """Each response is claimed by one of three, and all are."""

    async def fill(store: Store) -> None:
        for n in range(60):
            await store.save_response(response(f"resp_{n}", ["a"], status="queued"), items("a"))
        await left_alone(store)

    on_store(state_url, fill)
    claimers = [start("claim", state_url) for _ in range(3)]
    for claimer in claimers:
        assert claimer.stdout is not None
        assert claimer.stdout.readline() == "ready\n"
    claimed: list[str] = []
    for claimer in claimers:
        assert claimer.stdin is not None
        claimer.stdin.write("go\n")
        claimer.stdin.flush()
    for claimer in claimers:
        claimed += claimer.communicate()[0].split()
        assert claimer.returncode == 0
    assert len(claimed) == len({*claimed})
    assert on_store(state_url, lambda store: store.claim_unfinished(500, 100)) == []
    assert sorted(claimed) == sorted(f"resp_{n}" for n in range(60))
