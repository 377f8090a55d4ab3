"""What runs inside vLLM's processes: configuration, tokenizer, processor, model, scheduler, worker.

`engine` is what runs in our own process. It calls two functions from here, each of which stands beside its
counterpart: `processor.image_item` and `lifeline.tied_processes`.
"""
