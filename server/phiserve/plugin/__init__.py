"""What runs inside vLLM's processes: configuration, tokenizer, processor, model, scheduler, worker.

`engine` is what runs in ours. Two functions here are called there, to keep both ends of a thing together:
`processor.image_item` and `lifeline.tied_processes`.
"""
