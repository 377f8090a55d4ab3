"""What the reference implementation thinks of labels: run by `make_decisions.py`, beside transformers.

usage: python judge_decisions.py CHECKPOINT OUT

CHECKPOINT holds the golden weights and the model repository's code. Reads prompts as JSON lines from standard
input: their ids, image k's tokens as -k, their images with their crops at most, the labels' ids.
"""

import base64
import io
import json
import sys
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from benchmarks.generate import load

CLIP_LAYERS = 2
"""Of the golden checkpoint."""


def pixels(processor: Any, images: list[tuple[str, int]]) -> dict[str, torch.Tensor]:
    """Crops and sizes of a prompt's images, as the reference's own processor makes them."""
    crops, sizes = [], []
    for url, num_crops in images:
        image = Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))
        processor.image_processor.num_crops = num_crops
        one = processor.image_processor([image], return_tensors="pt")
        crops.append(one["pixel_values"][0])
        sizes.append(one["image_sizes"][0])
    if not crops:
        return {}
    most = max(map(len, crops))
    padded = [torch.cat([one, one.new_zeros(most - len(one), *one.shape[1:])]) for one in crops]
    return {"pixel_values": torch.stack(padded), "image_sizes": torch.stack(sizes)}


def main(folder: str, out: Path) -> None:
    """Log-probabilities of each prompt's labels, a line each."""
    model, processor = load(folder, "float32", CLIP_LAYERS)
    rows = []
    for line in sys.stdin:
        asked = json.loads(line)
        shown = pixels(processor, asked["images"])
        with torch.inference_mode():
            logits = model(torch.tensor([asked["ids"]]), **shown).logits[0, -1].float()
        known = torch.log_softmax(logits, -1)[torch.tensor(asked["labels"])]
        rows.append(json.dumps([round(value, 6) for value in known.tolist()]))
    out.write_text("[\n" + ",\n".join(rows) + "\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
