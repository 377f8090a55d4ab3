"""From a training checkpoint to the package's weights. `python -m demo.export STATE_DIR`."""

from pathlib import Path
from typing import Any

import torch
import typer

from demo.compact import compact
from demo.train_letters import PLAN
from demo.train_shop import PLAN as SHOP_PLAN
from phiserve.checkpoint import demo, demo_weights


def main(state: Path) -> None:
    """Write the weights of the newest checkpoint in `state`, of the last stage or the one before, into the
    package.
    """
    newest, before = (state / f"{plan.name}.pt" for plan in (PLAN, SHOP_PLAN))
    saved: dict[str, Any] = torch.load(newest if newest.exists() else before)
    packed = demo.pack(compact(saved["task"]))
    path = Path(demo_weights.__file__).with_name(demo_weights.WEIGHTS_FILE)
    path.write_bytes(packed)
    print(f"{path}: {len(packed) / 1e6:.2f} MB after {saved['step']} steps")


if __name__ == "__main__":
    typer.run(main)
