"""What runs inside vLLM's own processes: configuration, tokenizer, model, scheduler, worker. `engine` is what
runs in ours.
"""
