#!/usr/bin/env bash
# transformers 5.19.0: a Phi-3 with long RoPE factors generates other tokens with its cache than without, from
# the token on that is the first beyond the short context.
#
# Guess: the cache saves time and nothing else, so greedy generation is the same with it and without, also
# where the model changes from the short to the long factors: its code says that the cache is then made anew.
# Seen: the cache is dropped, but only the newest token is read again, without all that came before it. So the
# next token is chosen as if the text consisted of that one token.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --target "$folder" transformers==5.19.0 torch==2.13.0
PYTHONPATH=$folder HF_HUB_OFFLINE=1 python3 - <<'PYTHON'
import sys

import torch
import transformers
from transformers import Phi3Config, Phi3ForCausalLM

SHORT, PROMPT, NEW = 16, 12, 12

print("transformers", transformers.__version__, "torch", torch.__version__)
print("guess: greedy generation is the same with the cache and without")
torch.manual_seed(0)
config = Phi3Config(
    vocab_size=97,
    hidden_size=32,
    intermediate_size=64,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=4,
    max_position_embeddings=64,
    original_max_position_embeddings=SHORT,
    pad_token_id=0,
    bos_token_id=1,
    eos_token_id=None,
    rope_parameters={
        "rope_type": "longrope",
        "rope_theta": 10000.0,
        "short_factor": [1.0] * 4,
        "long_factor": [1.0, 2.0, 4.0, 8.0],
    },
)
model = Phi3ForCausalLM(config).eval()
for parameter in model.parameters():
    if parameter.ndim == 2:
        torch.nn.init.normal_(parameter, std=0.4)
prompt = torch.randint(2, 97, (1, PROMPT))
greedy = {"max_new_tokens": NEW, "do_sample": False, "return_dict_in_generate": True, "output_scores": True}
with torch.no_grad():
    cached, plain = (model.generate(prompt, use_cache=use, **greedy) for use in (True, False))
    ids = cached.sequences[0]
    apart = []
    for number, scores in enumerate(cached.scores):
        length = PROMPT + number
        whole = model(ids[None, :length], use_cache=False).logits[0, -1]
        apart.append(round((scores[0] - whole).abs().max().item(), 4))
    first = next((number for number, off in enumerate(apart) if off > 1e-3), None)
    print("seen: tokens without the cache:", plain.sequences[0, PROMPT:].tolist())
    print("seen: tokens with the cache:   ", ids[PROMPT:].tolist())
    print("seen: logits with the cache, off from those of the whole text, by its length:")
    print("     ", {PROMPT + number: off for number, off in enumerate(apart)})
    alone_ids = ids[None, SHORT : SHORT + 1]
    off_alone = min(
        (cached.scores[SHORT + 1 - PROMPT][0] - logits).abs().max().item()
        for logits in (
            model(alone_ids, use_cache=False).logits[0, -1],
            model(alone_ids, position_ids=torch.tensor([[SHORT]]), use_cache=False).logits[0, -1],
        )
    )
    print("seen: off from those of the newest token alone:", round(off_alone, 4))
changed = first is None or PROMPT + first != SHORT + 1 or off_alone > 0.01
sys.exit("the behaviour has changed" if changed else 0)
PYTHON
