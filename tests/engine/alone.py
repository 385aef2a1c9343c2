"""What transformers and PEFT alone would say: the reference that every engine reply is compared with."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from chatbot.engine.base import ChatMessage
from chatbot.engine.template import ChatTemplate


class Alone:
    """One base model, optionally with one PEFT adapter, generating greedily with `transformers.generate`."""

    def __init__(self, base: Path, adapter: Path | None = None) -> None:
        self.template = ChatTemplate(base)
        self._model: Any = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).eval()
        if adapter is not None:
            from peft import PeftModel

            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._model = PeftModel.from_pretrained(self._model, str(adapter)).eval()
        self._replies: dict[tuple[tuple[int, ...], int], list[int]] = {}

    def reply_ids(self, messages: Sequence[ChatMessage], max_tokens: int) -> list[int]:
        """Return the greedy reply's token ids without the token that ends it."""
        prompt = tuple(self.template.render(messages))
        if (prompt, max_tokens) not in self._replies:
            self._replies[prompt, max_tokens] = self._generate(prompt, max_tokens)
        return self._replies[prompt, max_tokens]

    def reply(self, messages: Sequence[ChatMessage], max_tokens: int) -> str:
        """Return the greedy reply's text."""
        return self.template.decode(self.reply_ids(messages, max_tokens))

    def _generate(self, prompt: Sequence[int], max_tokens: int) -> list[int]:
        ids = torch.tensor([list(prompt)])
        with torch.inference_mode():
            output = self._model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                do_sample=False,
                max_new_tokens=max_tokens,
                eos_token_id=sorted(self.template.end_ids),
                pad_token_id=0,
            )
        new = [int(i) for i in output[0, len(prompt) :]]
        return [i for i in new if i not in self.template.end_ids]
