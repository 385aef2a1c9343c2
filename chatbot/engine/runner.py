"""Runs a transformers causal LM over KV slots: chunks of tokens in, logits of their last tokens out.

At load every way of computing must give the logits of the model's own forward: the fused one is taken if it does, else
the model's own code over slots, and a model that needs something else is refused, not served wrong.
"""

import copy
import ctypes
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import structlog
import torch

from chatbot.engine.adapter_files import LoraAdapter, linear_sizes
from chatbot.engine.attention import Chunk
from chatbot.engine.compiled.compiled_forward import CompiledForward, NotCompilable
from chatbot.engine.formats import MatmulPrecision, keeper
from chatbot.engine.fused_network import FusedNetwork
from chatbot.engine.graphs import Graphs, Record, Recorder
from chatbot.engine.kv import KVShape, SlotKV
from chatbot.engine.lora import LoraBank
from chatbot.engine.machine import avoid_planned_attention, free_bytes
from chatbot.engine.network import choose_network
from chatbot.engine.probe import Probe
from chatbot.engine.shortcut import Shortcut
from chatbot.engine.weights import load_model

log = structlog.get_logger()


class Runner:
    """A causal LM with KV for a number of slots. Used from one thread, within `torch.inference_mode`."""

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
        library: ctypes.CDLL | None = None,
        recorder: Callable[[], Record] | None = None,
    ) -> None:
        """Load the weights. Raises ModelNotFound if the model is broken or does not fit the slot attention.

        fuses: whether our own code may compute the model where it gives the same logits.
        precision: how exact large products have to be where our own code computes.
        library: code compiled for this machine (compiled/library.py), for a CPU and float32.
        recorder: makes what records forwards to be played back; by default CUDA graphs are, where there are any.
        """
        avoid_planned_attention(device)
        model = load_model(folder, device, dtype)
        shape = KVShape.of(model.config.get_text_config(), slots=slots, max_len=context_tokens)
        self._wanted = shape
        self._is_cuda = device.type == "cuda"
        self.kv = SlotKV(shape.fitted(dtype, free_bytes(device)), dtype=dtype, device=device)
        self.linears = linear_sizes(model)
        self.end_ids = _end_ids(model.generation_config)
        """Ids that end a reply by the model's own generation settings."""
        self.vocabulary: int = model.get_input_embeddings().num_embeddings
        self._probe = Probe(model, device, self.kv.shape, precision)
        keep = keeper(precision, library) if fuses else None
        for slot in self._probe.slots:
            self.kv.note_written(slot, self._probe.length)
        self.network = choose_network(model, self.kv, self._probe, keep, str(folder))
        self._pristine = self.network.twin(self.kv)
        """Never computes and never holds adapters: what `renewed` copies."""
        self.bank = LoraBank(self.network.tree, self.network.sites)
        self._library = library
        self._recorder = recorder or (partial(Recorder, device) if self._is_cuda else None)
        self._shortcut = self._make_shortcut()
        self._check_shortcut()
        self.attention_parity = _attention_parity(model.config.get_text_config(), shape, self.linears)
        """Position of a prompt at which attention takes as many operations as all linears."""

    def decode(self, chunks: Sequence[Chunk], adapters: Sequence[LoraAdapter | None]) -> torch.Tensor:
        """Compute few new tokens per row, any mix of adapters, and return each one's logits `[tokens, vocabulary]`."""
        self._note_written(chunks)
        if self._shortcut is not None and (logits := self._shortcut.decode(chunks, adapters)) is not None:
            return logits
        self.bank.use([adapter for chunk, adapter in zip(chunks, adapters, strict=True) for _ in chunk.tokens])
        return self.network.decode(chunks)

    def prefill(self, chunks: Sequence[Chunk], adapter: LoraAdapter | None) -> torch.Tensor:
        """Compute chunks of prompts under one adapter.

        Returns the logits `[wanted, vocabulary]` of the last token of each chunk that wants them.
        """
        self._note_written(chunks)
        if self._shortcut is not None and (logits := self._shortcut.prefill(chunks, adapter)) is not None:
            return logits
        self.bank.use([adapter])
        return self.network.prefill(chunks)

    @property
    def held(self) -> set[str]:
        """Digests of the adapters for which something is kept to compute with."""
        return self.bank.held | (self._shortcut.held if self._shortcut is not None else set())

    def release_adapters(self, keep: set[str]) -> None:
        """Free what computing with adapters needs, if there are any whose digests are not in `keep`."""
        if self._shortcut is not None:
            self._shortcut.release(keep)
        self.bank.release(keep)

    def free_memory(self) -> None:
        """Free what can be made again: adapters stacked in the model, graphs, and what CUDA keeps for later.

        The slots are not among it: their tensors were taken at load, and forgetting what they hold frees nothing.
        """
        self.bank.release(set())
        if self._shortcut is not None:
            self._shortcut.clear()
        if self._is_cuda:
            torch.cuda.empty_cache()

    def wait_for_device(self) -> None:
        """Return when all that this thread gave to the device is computed, so that time can be measured."""
        if self._is_cuda:
            torch.cuda.current_stream(self.kv.keys.device).synchronize()

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
        has_shortcut = self._shortcut is not None and not self._shortcut.is_broken
        runner._shortcut = runner._make_shortcut() if has_shortcut else None
        return runner

    def _make_shortcut(self) -> Shortcut | None:
        """Return the faster way for steps of the network, whose linears hold no adapters yet."""
        if self._recorder is not None:
            return Graphs(self.network, self.kv, self.bank, self._recorder())
        if self._library is None or not isinstance(self.network, FusedNetwork):
            return None
        try:
            return CompiledForward(self.network, self._library)
        except NotCompilable as reason:
            log.info("model.not_compiled", reason=str(reason))
            return None

    def _check_shortcut(self) -> None:
        """Leave the shortcut unless it gives the right logits, of graphs the third time too: the first ones record."""
        rounds = 0 if self._shortcut is None else 3 if isinstance(self._shortcut, Graphs) else 1
        for _ in range(rounds):
            if problem := self._probe.problem(partial(self.prefill, adapter=None), self._decode_plain):
                log.warning("model.no_shortcut", kind=type(self._shortcut).__name__, reason=problem)
                self._shortcut = None
                return
            for slot in self._probe.slots:  # or what is there already would hide a round that writes nothing
                self.kv.wipe(slot, self._probe.length)

    def _note_written(self, chunks: Sequence[Chunk]) -> None:
        for chunk in chunks:
            self.kv.note_written(chunk.slot, chunk.end)

    def _decode_plain(self, chunks: Sequence[Chunk]) -> torch.Tensor:
        return self.decode(chunks, [None] * len(chunks))


def _attention_parity(config: Any, shape: KVShape, linears: Mapping[str, tuple[int, int]]) -> float:
    """Return the position where attending costs as much as the linears; infinite if there are none of torch's.

    The head is left out: a prompt needs the logits of its last token alone.
    """
    linear = sum(inputs * outputs for name, (inputs, outputs) in linears.items() if not name.endswith("lm_head"))
    return linear / (2 * shape.layers * config.num_attention_heads * shape.head_dim) or math.inf


def _end_ids(settings: Any) -> frozenset[int]:  # a transformers GenerationConfig
    ids = settings.eos_token_id
    return frozenset(ids if isinstance(ids, list) else [] if ids is None else [ids])
