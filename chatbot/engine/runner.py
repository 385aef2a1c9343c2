"""Runs a transformers causal LM over KV slots: chunks of tokens in, logits of their last tokens out.

At load every way of computing must give the logits of the model's own forward: the fused one is taken if it does, else
the model's own code over slots, and a model that needs something else is refused, not served wrong.
"""

import contextlib
import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import structlog
import torch
from safetensors import SafetensorError
from torch import nn
from transformers import AutoModelForCausalLM
from transformers.utils import logging

from chatbot.engine.adapter_files import LoraAdapter
from chatbot.engine.attention import Chunk
from chatbot.engine.base import ModelNotFound
from chatbot.engine.formats import Keep, MatmulPrecision, keeper
from chatbot.engine.fused_network import FusedNetwork, NotFusable
from chatbot.engine.hf_network import HFNetwork
from chatbot.engine.kv import KVShape, SlotKV
from chatbot.engine.lora import LoraBank, Tree
from chatbot.engine.lora_stack import Part
from chatbot.engine.machine import free_bytes

log = structlog.get_logger()
PROBE_TOKENS = 16
PROBE_TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 0.15, torch.float16: 0.05}
"""Largest difference to the model's own forward that may be rounding, in units of the logits' standard deviation."""


class Network(Protocol):
    """What computes: a transformers model by its own code, or its weights by ours."""

    kv_layout: str
    """How a head's numbers are arranged in the KV; networks of one layout can use each other's KV."""

    @property
    def sites(self) -> Mapping[str, tuple[Part, ...]]: ...

    @property
    def tree(self) -> Tree: ...

    def decode(self, chunks: Sequence[Chunk]) -> torch.Tensor: ...

    def prefill(self, chunks: Sequence[Chunk]) -> torch.Tensor: ...

    def twin(self, kv: SlotKV) -> "Network":
        """Return a network of the same weights over other KV, with nothing else in common that a forward changes."""


class Runner:
    """A causal LM with KV for a number of slots. Used from one thread."""

    def __init__(
        self,
        folder: Path,
        *,
        slots: int,
        context_tokens: int,
        device: torch.device,
        dtype: torch.dtype,
        fuses: bool = True,
        precision: MatmulPrecision = "highest",
    ) -> None:
        """Load the weights. Raises ModelNotFound if the model is broken or does not fit the slot attention.

        fuses: whether our own code may compute the model where it gives the same logits.
        precision: how exact large products have to be where our own code computes.
        """
        model = _load(folder, device, dtype)
        shape = KVShape.of(model.config.get_text_config(), slots=slots, max_len=context_tokens)
        self._wanted = shape
        self.kv = SlotKV(shape.fitted(dtype, free_bytes(device)), dtype=dtype, device=device)
        self.linears = {
            name: (module.in_features, module.out_features)
            for name, module in model.named_modules()
            if isinstance(module, nn.Linear)
        }
        """Sizes `(in_features, out_features)` of the linears that adapters may change, by name."""
        self.end_ids = _end_ids(model.generation_config)
        """Ids that end a reply by the model's own generation settings."""
        self.vocabulary: int = model.get_input_embeddings().num_embeddings
        self.network = self._choose(folder, model, keeper(precision) if fuses else None)
        self._pristine = self.network.twin(self.kv)
        """Never computes and never holds adapters: what `renewed` copies."""
        self.bank = LoraBank(self.network.tree, self.network.sites)
        self.attention_parity = _attention_parity(model.config.get_text_config(), shape, self.linears)
        """Position of a prompt at which attention takes as many operations as all linears."""

    @torch.inference_mode()
    def decode(self, chunks: Sequence[Chunk], adapters: Sequence[LoraAdapter | None]) -> torch.Tensor:
        """Compute few new tokens per row, any mix of adapters, and return each one's logits `[tokens, vocabulary]`."""
        self.bank.use([adapter for chunk, adapter in zip(chunks, adapters, strict=True) for _ in chunk.tokens])
        return self.network.decode(chunks)

    @torch.inference_mode()
    def prefill(self, chunks: Sequence[Chunk], adapter: LoraAdapter | None) -> torch.Tensor:
        """Compute chunks of prompts under one adapter and return logits `[chunks, vocabulary]` of their last tokens."""
        self.bank.use([adapter])
        return self.network.prefill(chunks)

    def free_memory(self) -> None:
        """Free what can be made again: adapters stacked in the model, and what CUDA keeps for later.

        The slots are not among it: their tensors were taken at load, and forgetting what they hold frees nothing.
        """
        self.bank.release(set())
        if self.kv.keys.is_cuda:
            torch.cuda.empty_cache()

    def wait_for_device(self) -> None:
        """Return when all that was given to the device is computed, so that time can be measured."""
        if self.kv.keys.is_cuda:
            torch.cuda.synchronize(self.kv.keys.device)

    def renewed(self, *, keeps_kv: bool) -> "Runner":
        """Return a runner for a new thread, while this one's thread may still be inside a forward.

        The weights are shared, since no forward changes them; a second copy would not fit beside the first on most
        devices. All that a forward writes is new: the network, into whose linears adapters are put, the adapters'
        bank, and the KV, in which a late forward would overwrite another conversation. Only if the old thread is
        known to have ended may the KV be kept; a new one has as many slots as memory still holds.
        """
        runner = copy.copy(self)
        if not keeps_kv:
            device, dtype = self.kv.keys.device, self.kv.keys.dtype
            runner.kv = SlotKV(self._wanted.fitted(dtype, free_bytes(device)), dtype=dtype, device=device)
        runner.network = self._pristine.twin(runner.kv)
        runner._pristine = self._pristine.twin(runner.kv)  # or it would hold on to the KV of the first thread
        runner.bank = LoraBank(runner.network.tree, runner.network.sites)
        return runner

    @torch.inference_mode()
    def _choose(self, folder: Path, model: Any, keep: Keep | None) -> Network:  # transformers is untyped
        """Return the fastest network that gives the logits of the model's own forward."""
        tokens = [(7 * i + 11) % model.get_input_embeddings().num_embeddings for i in range(PROBE_TOKENS)]
        expected = model(input_ids=torch.tensor([tokens], device=self.kv.keys.device), use_cache=False).logits[0, -2:]
        if keep and (fused := self._fused(folder, model, keep, tokens, expected.float())):
            return fused
        network = HFNetwork(model, self.kv, has_fast_modules=True)
        if self._difference(network, tokens, expected.float()):
            network.restore()
            if problem := self._difference(network, tokens, expected.float()):
                raise ModelNotFound(f"{folder}: this kind of model cannot run on KV slots: {problem}")
        return network

    def _fused(
        self, folder: Path, model: Any, keep: Keep, tokens: list[int], expected: torch.Tensor
    ) -> FusedNetwork | None:
        try:
            network = FusedNetwork(model, self.kv, keep)
        except NotFusable as reason:
            log.info("model.not_fused", model=folder.name, reason=str(reason))
            return None
        if problem := self._difference(network, tokens, expected):
            log.warning("model.not_fused", model=folder.name, reason=problem)
            return None
        return network

    def _difference(self, network: Network, tokens: list[int], expected: torch.Tensor) -> str | None:
        """Return what is wrong with the logits of two prefill chunks and a decode step in slot 0, if anything is."""
        half = len(tokens) // 2
        try:
            network.prefill([Chunk(0, 0, tokens[:half])])
            prefilled = network.prefill([Chunk(0, half, tokens[half:-1])])
            decoded = network.decode([Chunk(0, len(tokens) - 1, tokens[-1:])])
        except (ValueError, TypeError, AttributeError, RuntimeError, IndexError) as error:
            return str(error)
        difference = (torch.cat([prefilled, decoded]).float() - expected).abs().max() / expected.std()
        if difference <= PROBE_TOLERANCE[self.kv.keys.dtype]:
            return None
        return f"its logits differ by {difference:.3g} standard deviations from its own forward"


def _attention_parity(config: Any, shape: KVShape, linears: Mapping[str, tuple[int, int]]) -> float:
    """Return the position where attending costs as much as the linears; infinite if there are none of torch's.

    The head is left out: a prompt needs the logits of its last token alone.
    """
    linear = sum(inputs * outputs for name, (inputs, outputs) in linears.items() if not name.endswith("lm_head"))
    return linear / (2 * shape.layers * config.num_attention_heads * shape.head_dim) or math.inf


def _end_ids(settings: Any) -> frozenset[int]:  # a transformers GenerationConfig
    ids = settings.eos_token_id
    return frozenset(ids if isinstance(ids, list) else [] if ids is None else [ids])


def _load(folder: Path, device: torch.device, dtype: torch.dtype) -> Any:  # transformers is untyped
    try:
        with _no_progress_bar():
            model, report = AutoModelForCausalLM.from_pretrained(
                folder,
                dtype=dtype,
                trust_remote_code=False,
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
            )
    except (OSError, ValueError, KeyError, RuntimeError, TypeError, SafetensorError) as error:
        raise ModelNotFound(f"{folder}: the weights cannot be loaded as a causal LM: {error}") from error
    if missing := sorted(report["missing_keys"]):
        raise ModelNotFound(f"{folder}: {len(missing)} weights are missing from the files, such as {missing[0]}")
    return model.requires_grad_(False).eval().to(device)


@contextlib.contextmanager
def _no_progress_bar() -> Iterator[None]:
    """Keep stderr clean while weights load: a terminal client may own the screen."""
    was_enabled = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if was_enabled:
            logging.enable_progress_bar()
