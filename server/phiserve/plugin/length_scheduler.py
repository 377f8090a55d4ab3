"""vLLM's scheduler, in which a request has the RoPE factors of its own length, as in the reference.

The model has two sets of factors: the short ones up to `original_max_position_embeddings` tokens of prompt
and answer, the long ones beyond. What was read with one set is of no use to the other. The reference decides
anew at every token: where an answer grows beyond the short context, it throws its cache away, to read all of
it with the long factors (`prepare_inputs_for_generation` of transformers' `Phi3ForCausalLM`). Here the
request is preempted at that token, as vLLM does where memory runs out, and so read again.
`plugin.length_runner` is what gives the factors to its tokens.
"""

from time import monotonic
from typing import Any

from vllm.config import VllmConfig
from vllm.platforms import current_platform
from vllm.v1.core.sched.output import SchedulerOutput
from vllm.v1.request import Request

from phiserve.plugin.fair_scheduler import FairScheduler

LONG = ":long"
"""What cache salts of requests with the long factors end in; no other's does, since they are hexadecimal."""


class LengthScheduler(FairScheduler):
    """Keeps what was read with the two sets of factors apart, in the prefix cache and within a request."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._short_tokens = switching_length(self.vllm_config)

    def add_request(self, request: Request) -> None:
        """Take a request as vLLM does; it has the long factors if its prompt is too long for the short."""
        if self._short_tokens is not None and request.num_tokens > self._short_tokens:
            use_long_factors(request)
        super().add_request(request)

    def schedule(self, throttle_prefills: bool = False) -> SchedulerOutput:
        """Schedule a step as vLLM does; what has outgrown the short factors is read anew from it on."""
        if self._short_tokens is not None:
            self._switch(self._short_tokens)
        return super().schedule(throttle_prefills)

    def _switch(self, short_tokens: int) -> None:
        """Preempt answers that have outgrown the short factors; they go on in their places."""
        growing = [request for request in self.running if request.num_tokens_with_spec > short_tokens]
        for request in growing:
            if has_long_factors(request):
                continue
            if request.num_tokens <= short_tokens:  # guesses beyond would be judged by the short factors
                del request.spec_token_ids[short_tokens - request.num_tokens :]
                continue
            self.running.remove(request)
            self._preempt_request(request, monotonic())
            self.waiting.keep_place(request)
            # It may go on in this very step, and the worker must not take it for one that simply goes on.
            self.prev_step_scheduled_req_ids.discard(request.request_id)
            use_long_factors(request)


def switching_length(config: VllmConfig) -> int | None:
    """Tokens of prompt and answer up to which a request has the short factors.

    None where all requests have the same factors: the model has one set, or no request can be longer, or
    another scheduler or model runner takes no notice, as on a GPU. There vLLM uses the long ones throughout
    if the context is longer than the short one.
    """
    rope = config.model_config.hf_config.rope_parameters
    if rope["rope_type"] != "longrope" or not current_platform.is_cpu() or config.use_v2_model_runner:
        return None
    short_tokens: int = rope["original_max_position_embeddings"]
    is_ours = issubclass(config.scheduler_config.get_scheduler_cls(), LengthScheduler)
    return short_tokens if is_ours and config.model_config.max_model_len > short_tokens else None


def has_long_factors(request: Request) -> bool:
    """Whether a request has been given the long factors."""
    return request.cache_salt is not None and request.cache_salt.endswith(LONG)


def use_long_factors(request: Request) -> None:
    """Give a request the long factors: the prefix cache shows it only what was read with them.

    Nothing of it may be in the KV cache.
    """
    request.cache_salt = f"{request.cache_salt or ''}{LONG}"
    request.block_hashes.clear()
    request.update_block_hashes()
