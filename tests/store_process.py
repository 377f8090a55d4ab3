"""A process of its own that stores responses or claims them, and prints what has been acknowledged to it.

`write URL NAME`: responses NAME_0, NAME_1, … without end, each with two items, in the conversation `conv_1`.
`claim URL`: whatever is unfinished.
"""

import asyncio
import sys
from itertools import count

from phiserve.store.interface import Store
from stored import item, opened, response


async def write(store: Store, name: str) -> None:
    """Store until the process is ended."""
    for n in count():
        question, answer = item(f"{name}_{n}_in", "x" * 100_000), item(f"{name}_{n}_out")
        made = response(f"{name}_{n}", [question.id], [answer.id], conversation="conv_1")
        assert await store.save_response(made, [question, answer])
        print(made.id, flush=True)  # noqa: T201


async def claim(store: Store) -> None:
    """Claim by twos until none is left."""
    print("ready", flush=True)  # noqa: T201
    sys.stdin.readline()
    while claimed := await store.claim_unfinished(500, 2):
        print(*(found.id for found in claimed), sep="\n", flush=True)  # noqa: T201


async def main() -> None:
    """Do what the arguments say."""
    what, url, *names = sys.argv[1:]
    store = opened(url)
    await (write(store, names[0]) if what == "write" else claim(store))
    await store.close()


if __name__ == "__main__":
    asyncio.run(main())
