"""What a step of the engine says of each request, handed to whoever waits for it.

As vLLM does it, but for the text of tokens.
"""

from vllm.v1.engine import EngineCoreRequest
from vllm.v1.engine.detokenizer import FastIncrementalDetokenizer, uses_fast_detokenizer
from vllm.v1.engine.output_processor import OutputProcessor, RequestOutputCollector
from vllm.v1.engine.parallel_sampling import ParentRequest

from phiserve.engine.detokenizer import TableDetokenizer, Texts, texts_of


class StepProcessor(OutputProcessor):
    """vLLM's output processor. `take_over` makes one of an engine's."""

    texts: Texts

    @classmethod
    def take_over(cls, processor: OutputProcessor) -> None:
        """Make `processor` one of these, before it has requests: vLLM's loop already holds it.

        It stays vLLM's where it has no tokenizer, or one that vLLM decodes with in another way.
        """
        if uses_fast_detokenizer(processor.tokenizer):
            processor.texts = texts_of(processor.tokenizer.backend_tokenizer)
            processor.__class__ = cls

    def add_request(
        self,
        request: EngineCoreRequest,
        prompt: str | None,
        parent_req: ParentRequest | None = None,
        request_index: int = 0,
        queue: RequestOutputCollector | None = None,
    ) -> None:
        """Expect outputs of one more request."""
        super().add_request(request, prompt, parent_req, request_index, queue)
        state = self.request_states[request.request_id]
        if type(state.detokenizer) is FastIncrementalDetokenizer and request.params.skip_special_tokens:
            state.detokenizer = TableDetokenizer(self.tokenizer, request, self.texts)
