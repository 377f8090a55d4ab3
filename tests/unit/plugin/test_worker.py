"""The worker encodes crops before its steps, and never draws from the generators of half-read prompts.

A stand-in replaces vLLM's model runner below the worker; loading and running a model need an engine, and are
tested with one in tests/e2e.
"""

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from vllm.v1.sample.sampler import Sampler
from vllm.v1.worker.cpu_worker import CPUWorker

from phiserve.plugin import worker as module
from phiserve.plugin.model import tower_input
from phiserve.plugin.partial_encoding import Encoding, PartialEncoder
from phiserve.plugin.sampler import RowSampler
from phiserve.plugin.worker import PhiserveCPUWorker, set_aside

IMAGE = (1, 1)


class Runner:
    """Stands for vLLM's model runner with a batch of three seeded requests, the second one half read."""

    def __init__(self) -> None:
        self.discard_request_mask = SimpleNamespace(np=np.array([False, True, False, True]))
        generators = {row: torch.Generator().manual_seed(row) for row in range(3)}
        self.input_batch = SimpleNamespace(num_reqs=3, generators=generators)
        self.fails = False
        self.sampler = Sampler()

    def sample_tokens(self, grammar_output: object) -> list[int]:
        """The rows that are sampled with a generator of their own, bookkeeping as vLLM 0.32 does it."""
        generators = self.input_batch.generators
        for row in np.nonzero(self.discard_request_mask.np[:3])[0]:
            if (generator := generators.get(int(row))) is not None:
                generator.set_offset(generator.get_offset() - 4)
        if self.fails:
            raise MemoryError
        return sorted(generators)

    def get_model(self) -> SimpleNamespace:
        """A model whose vision tower has one part, which returns what it is given."""

        def clip_parts(crops: torch.Tensor) -> Encoding:
            yield "all"
            return crops

        return SimpleNamespace(clip_parts=clip_parts)


def worker() -> PhiserveCPUWorker:
    """A worker with this runner, and no device."""
    result = PhiserveCPUWorker.__new__(PhiserveCPUWorker)
    result.model_runner = Runner()
    mm_config = SimpleNamespace(mm_processor_kwargs={"num_crops": 4, "encode_slice_ms": 30})
    result.model_config = SimpleNamespace(get_multimodal_config=lambda: mm_config)
    return result


def test_vllm_cannot_wind_back() -> None:
    """torch's generators on CPU have no offset: the reason for setting them aside. Ends with vLLM's fault."""
    with pytest.raises(RuntimeError):
        Runner().sample_tokens(None)


def test_half_read_prompts_are_sampled_without_their_generators() -> None:
    """Rows beyond the batch are nobody's; afterwards each request has its own generator again."""
    subject = worker()
    before = dict(subject.model_runner.input_batch.generators)
    assert subject.sample_tokens(None) == [0, 2]
    assert subject.model_runner.input_batch.generators == before


def test_generators_come_back_after_a_failure() -> None:
    """The engine may go on with the same batch."""
    subject = worker()
    subject.model_runner.fails = True
    with pytest.raises(MemoryError):
        subject.sample_tokens(None)
    assert sorted(subject.model_runner.input_batch.generators) == [0, 1, 2]


def test_set_aside() -> None:
    """Only rows that are named and have a generator."""
    generators = {row: torch.Generator() for row in (0, 2, 3)}
    before = dict(generators)
    with set_aside(generators, [1, 2]):
        assert sorted(generators) == [0, 3]
    assert generators == before


def test_crops_are_encoded_before_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the moment the model is loaded, by its own vision tower, and before vLLM runs the step."""
    encoder = PartialEncoder()
    complete_in_step: list[bool] = []
    monkeypatch.setattr(module, "PARTIAL_ENCODER", encoder)
    chosen: list[object] = []
    monkeypatch.setattr(module, "choose_by_length", chosen.append)
    monkeypatch.setattr(CPUWorker, "load_model", lambda self, *, load_dummy_weights: None)
    monkeypatch.setattr(
        CPUWorker, "execute_model", lambda self, output: complete_in_step.append(encoder.is_complete(IMAGE))
    )
    subject = worker()
    assert not encoder.has_worker
    subject.load_model()
    assert encoder.has_worker
    assert type(subject.model_runner.sampler) is RowSampler
    assert chosen == [subject.model_runner]
    subject.execute_model(None)
    encoder.request(IMAGE, partial(tower_input, torch.ones(1, 336, 336, 3), (336, 336)))
    subject.execute_model(None)
    assert complete_in_step == [False, True]
