"""transformers' `generate`, as the model's own sample code goes about it: one request after another, or one
static batch.

usage: python generate.py --model FOLDER --batch N --answer-tokens N [--dtype DTYPE] [--clip-layers N]

Runs in an environment of its own, and imports nothing of phiserve. FOLDER holds a checkpoint and the model
repository's code. `--clip-layers` cuts the vision tower to what a small checkpoint has weights for; otherwise
it would compute 24 layers of chance. Reads requests as JSON lines of {"text", "images": [path]} from standard
input; ends in one JSON line.
"""

import argparse
import json
import sys
import time
from typing import Any

import torch
from PIL import Image


def load(folder: str, dtype: str, clip_layers: int | None) -> tuple[Any, Any]:
    """Model and processor on the CPU, with the attention that needs no extension."""
    import transformers

    library: Any = transformers
    processor = library.AutoProcessor.from_pretrained(folder, trust_remote_code=True)
    model = library.AutoModelForCausalLM.from_pretrained(
        folder, trust_remote_code=True, torch_dtype=getattr(torch, dtype), attn_implementation="eager"
    )
    model.eval()
    if clip_layers is not None:
        embedding = model.model.vision_embed_tokens
        encoder = embedding.img_processor.vision_model.encoder
        encoder.layers = encoder.layers[:clip_layers]
        embedding.layer_idx = -1
    return model, processor


def prepare(processor: Any, request: dict[str, Any]) -> dict[str, torch.Tensor]:
    """One request, through the processor."""
    tags = "".join(f"<|image_{number + 1}|>\n" for number in range(len(request["pictures"])))
    prompt = f"<|user|>\n{tags}{request['text']}<|end|>\n<|assistant|>\n"
    images = [Image.open(path) for path in request["pictures"]] or None
    return dict(processor(prompt, images, return_tensors="pt"))


def batched(inputs: list[dict[str, torch.Tensor]], pad_id: int) -> dict[str, torch.Tensor]:
    """A static batch, padded on the left."""
    longest = max(one["input_ids"].shape[1] for one in inputs)
    ids = torch.full((len(inputs), longest), pad_id)
    mask = torch.zeros((len(inputs), longest), dtype=torch.long)
    for row, one in enumerate(inputs):
        length = one["input_ids"].shape[1]
        ids[row, longest - length :] = one["input_ids"][0]
        mask[row, longest - length :] = 1
    batch: dict[str, torch.Tensor] = {"input_ids": ids, "attention_mask": mask}
    if "pixel_values" in inputs[0]:
        batch["pixel_values"] = torch.cat([one["pixel_values"] for one in inputs])
        batch["image_sizes"] = torch.cat([torch.as_tensor(one["image_sizes"]) for one in inputs])
    return batch


def generate(model: Any, batch: dict[str, torch.Tensor], answer_tokens: int) -> None:
    """Greedy answers of just this length."""
    if "pixel_values" in batch:
        batch["pixel_values"] = batch["pixel_values"].to(model.dtype)
    with torch.inference_mode():
        model.generate(
            **batch,
            max_new_tokens=answer_tokens,
            min_new_tokens=answer_tokens,
            do_sample=False,
            use_cache=True,
        )


def answer_all(
    model: Any, processor: Any, requests: list[dict[str, Any]], batch: int, answer_tokens: int
) -> None:
    """In batches of `batch`."""
    for first in range(0, len(requests), batch):
        inputs = [prepare(processor, request) for request in requests[first : first + batch]]
        one = batched(inputs, processor.tokenizer.pad_token_id) if batch > 1 else inputs[0]
        generate(model, one, answer_tokens)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", required=True)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--answer-tokens", type=int, default=16)
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--clip-layers", type=int)
    options = parser.parse_args()
    requests = [json.loads(line) for line in sys.stdin]
    model, processor = load(options.model, options.dtype, options.clip_layers)
    answer_all(model, processor, requests[:1], 1, options.answer_tokens)
    began, cpu = time.perf_counter(), time.process_time()
    answer_all(model, processor, requests, options.batch, options.answer_tokens)
    seconds, cpu_s = time.perf_counter() - began, time.process_time() - cpu
    count = len(requests)
    import transformers

    print(
        json.dumps(
            {
                "requests_per_s": count / seconds,
                "output_tokens_per_s": count * options.answer_tokens / seconds,
                "cpu_all_s_per_request": cpu_s / count,
                "batch": min(options.batch, count),
                "transformers": transformers.__version__,
            }
        )
    )


if __name__ == "__main__":
    main()
