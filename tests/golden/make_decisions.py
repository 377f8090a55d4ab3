"""Writes `decisions.json`: what the reference implementation thinks of the labels after our prompts.

usage: PYTHONPATH=.:tests python tests/golden/make_decisions.py GOLDEN REFERENCE CODE

GOLDEN and REFERENCE are the folders of the golden vectors and of the model repository's data files; CODE
holds its code. The reference runs in float32, in the environment of the benchmarks' part `transformers`.
"""

import asyncio
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.checkpoints import beside_code, torchvision_is_missing
from benchmarks.command import ROOT
from benchmarks.environments import pins, prepare
from golden.decision_cases import LOGPROBS, decision_cases, looks
from phiserve.chat.encoder import PromptEncoder
from phiserve.core import ImagePlaceholder
from phiserve.decisions.labels import Labels
from phiserve.preparation import PromptLimits
from phiserve.protocol.decisions.request import DecisionsRequest
from phiserve.protocol.decisions.translation import to_decision_request
from phiserve.shared_prompts import Ending, SharedPreparer
from phiserve.vision.images import ImageService
from phiserve.vision.limits import ImageLimits

NUM_CROPS = {"low": 1, "high": 16}


async def prompts(golden: Path, tokenizer: Path) -> list[dict[str, Any]]:
    """What the reference is asked, look by look."""
    encoder, service = PromptEncoder.load(tokenizer), ImageService(ImageLimits(), workers=1)
    preparer = SharedPreparer(encoder, service, PromptLimits(131072, 16, 16, 64))
    labels, cases, found = Labels.load(encoder), decision_cases(golden), []
    for look in looks(cases):
        request = to_decision_request(DecisionsRequest.model_validate(cases[look.case]))
        count = len(look.order)
        question = request.questions[look.question]
        ending = Ending(question.asked(), (question.listed(look.order, labels.texts[:count]),))
        shared, (end,) = await preparer.prepare(request.conversation, [ending])
        prompt = preparer.prompt(shared, end, 0)
        ids = list(prompt.ids)
        for number, image in enumerate(prompt.images, 1):
            end_of_image = image.offset + image.plan.num_tokens
            ids[image.offset : end_of_image] = [-number] * image.plan.num_tokens
        own = [part for part in ending.head if isinstance(part, ImagePlaceholder)]
        images = [(image.url, NUM_CROPS[image.detail]) for image in (*request.conversation.images, *own)]
        found.append({"ids": ids, "images": images, "labels": labels.ids[:count]})
    service.close()
    return found


def main(golden: Path, reference: Path, code: Path) -> None:
    """Write the file."""
    pinned = pins(ROOT / "requirements" / "bench-transformers.txt")
    python = prepare("bench-transformers", pinned, dependencies=False)
    with tempfile.TemporaryDirectory() as temporary:
        checkpoint = Path(temporary) / "golden"
        command = [sys.executable, str(golden / "make_checkpoint.py"), str(reference), str(checkpoint)]
        subprocess.run(command, check=True)  # noqa: S603 - the vectors' own script
        asked = asyncio.run(prompts(golden, checkpoint / "tokenizer.json"))
        folder = beside_code(Path(temporary), checkpoint, code, stand_in=torchvision_is_missing())
        judge = Path(__file__).with_name("judge_decisions.py")
        subprocess.run(  # noqa: S603 - our own script
            [str(python), str(judge), str(folder), str(LOGPROBS)],
            input="\n".join(map(json.dumps, asked)),
            env={"PYTHONPATH": str(ROOT), "TRANSFORMERS_OFFLINE": "1", "HOME": temporary},
            text=True,
            check=True,
        )


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
