"""Runs a transformers causal LM over KV slots: chunks of tokens in, logits of their last tokens out.

Unmodified model code by public extension points only: a registered attention and `use_cache=False`. At load the slot
path must give the logits of the model's own forward, so a model that needs something else is refused, not served wrong.
"""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import AutoModelForCausalLM
from transformers.utils import logging

from chatbot.engine import attention
from chatbot.engine.adapter_files import LoraAdapter
from chatbot.engine.attention import Chunk, DecodePlan, PrefillPlan
from chatbot.engine.base import ModelNotFound
from chatbot.engine.kv import KVShape, SlotKV
from chatbot.engine.lora import LoraBank
from chatbot.engine.machine import free_bytes
from chatbot.engine.norms import replace_norms
from chatbot.engine.packed import pack_linears

PROBE_TOKENS = 12
PROBE_TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 0.15, torch.float16: 0.05}
"""Largest difference to the model's own forward that may be rounding, in units of the logits' standard deviation."""


class HFRunner:
    """A causal LM with KV for a number of slots. Used from one thread."""

    def __init__(
        self, folder: Path, *, slots: int, context_tokens: int, device: torch.device, dtype: torch.dtype
    ) -> None:
        """Load the weights. Raises ModelNotFound if the model is broken or does not fit the slot attention."""
        self.device = device
        self.dtype = dtype
        self.model = _load(folder, device, dtype)
        config = self.model.config.get_text_config()
        shape = KVShape.of(config, slots=slots, max_len=context_tokens).fitted(dtype, free_bytes(device))
        self.kv = SlotKV(shape, dtype=dtype, device=device)
        self.linears = {
            name: (module.in_features, module.out_features)
            for name, module in self.model.named_modules()
            if isinstance(module, nn.Linear)
        }
        """Sizes `(in_features, out_features)` of the linears that adapters may change, by name."""
        self._prepare(folder)
        self.bank = LoraBank(self.model)

    @property
    def end_ids(self) -> frozenset[int]:
        """Ids that end a reply by the model's own generation settings."""
        ids = self.model.generation_config.eos_token_id
        return frozenset(ids if isinstance(ids, list) else [] if ids is None else [ids])

    @torch.inference_mode()
    def decode(self, chunks: Sequence[Chunk], adapters: Sequence[LoraAdapter | None]) -> torch.Tensor:
        """Compute one new token per row, any mix of adapters, and return its logits `[rows, vocabulary]`."""
        self.bank.use(adapters)
        return self._decode(chunks)

    @torch.inference_mode()
    def prefill(self, chunks: Sequence[Chunk], adapter: LoraAdapter | None) -> torch.Tensor:
        """Compute chunks of prompts under one adapter and return logits `[chunks, vocabulary]` of their last tokens."""
        self.bank.use([adapter])
        return self._prefill(chunks)

    def _decode(self, chunks: Sequence[Chunk]) -> torch.Tensor:
        tokens = torch.tensor([chunk.tokens for chunk in chunks], device=self.device)
        positions = torch.tensor([[chunk.start] for chunk in chunks], device=self.device)
        plan = DecodePlan(self.kv, chunks)
        return self._forward(tokens, positions, plan, logits_to_keep=1)[:, 0]

    def _prefill(self, chunks: Sequence[Chunk]) -> torch.Tensor:
        tokens = torch.tensor([[token for chunk in chunks for token in chunk.tokens]], device=self.device)
        positions = torch.tensor([[i for chunk in chunks for i in range(chunk.start, chunk.end)]], device=self.device)
        ends = torch.tensor([len(chunk.tokens) for chunk in chunks], device=self.device).cumsum(0) - 1
        return self._forward(tokens, positions, PrefillPlan(self.kv, chunks), logits_to_keep=ends)[0]

    def _forward(
        self,
        tokens: torch.Tensor,
        positions: torch.Tensor,
        plan: attention.Plan,
        *,
        logits_to_keep: int | torch.Tensor,
    ) -> torch.Tensor:
        output = self.model(
            input_ids=tokens,
            position_ids=positions,
            use_cache=False,
            logits_to_keep=logits_to_keep,
            slots=plan,
        )
        logits: torch.Tensor = output.logits
        return logits

    @torch.inference_mode()
    def _prepare(self, folder: Path) -> None:
        """Switch the model to slots and to fast modules, and to its own again if those change its logits."""
        tokens = [(7 * i + 11) % self.model.get_input_embeddings().num_embeddings for i in range(PROBE_TOKENS)]
        ids = torch.tensor([tokens], device=self.device)
        expected = self.model(input_ids=ids, use_cache=False).logits[0, -2:].float()
        self.model.set_attn_implementation(attention.NAME)
        originals = pack_linears(self.model) | replace_norms(self.model)
        problem = self._difference(tokens, expected)
        if problem and originals:
            for name, module in originals.items():
                self.model.set_submodule(name, module)
            problem = self._difference(tokens, expected)
        if problem:
            raise ModelNotFound(f"{folder}: this kind of model cannot run on KV slots: {problem}")

    def _difference(self, tokens: list[int], expected: torch.Tensor) -> str | None:
        """Return what is wrong with the logits of two prefill chunks and a decode step in slot 0, if anything is."""
        half = len(tokens) // 2
        try:
            self._prefill([Chunk(0, 0, tokens[:half])])
            prefilled = self._prefill([Chunk(0, half, tokens[half:-1])])
            decoded = self._decode([Chunk(0, len(tokens) - 1, tokens[-1:])])
        except (ValueError, TypeError, AttributeError, RuntimeError, IndexError) as error:
            return str(error)
        difference = (torch.cat([prefilled, decoded]).float() - expected).abs().max() / expected.std()
        if difference <= PROBE_TOLERANCE[self.dtype]:
            return None
        return f"its logits differ by {difference:.3g} standard deviations from its own forward"


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
