"""Load for locust: the requests of a file of JSON lines, BENCH_BODIES, in turn."""

import itertools
import os
from pathlib import Path

from locust import HttpUser, task

_BODIES = itertools.cycle(Path(os.environ["BENCH_BODIES"]).read_bytes().splitlines())


class Asker(HttpUser):
    """One client that asks again as soon as it is answered."""

    @task
    def ask(self) -> None:
        """One request, read to its end."""
        self.client.post(
            "/v1/chat/completions", data=next(_BODIES), headers={"Content-Type": "application/json"}
        )
