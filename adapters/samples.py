"""What the model says to a few fixed prompts, so that a person can see what training changed."""

from collections.abc import Sequence
from typing import Any

import torch

from adapters.labels import Labeller
from chatbot.engine.base import ChatMessage

Chat = tuple[ChatMessage, ...]
MAX_NEW_TOKENS = 48

PROMPTS: tuple[Chat, ...] = (
    (ChatMessage("user", "Hello!"),),
    (ChatMessage("user", "What is your name?"),),
    (ChatMessage("user", "What do you like to do?"),),
    (ChatMessage("user", "I had a bad day."),),
    (
        ChatMessage("user", "Hi, my name is Mira."),
        ChatMessage("assistant", "Nice to meet you, Mira!"),
        ChatMessage("user", "What is my name?"),
    ),
)


def replies(model: Any, labeller: Labeller, system: str | None) -> list[str]:  # peft is untyped
    """Return the greedy reply to each prompt."""
    return [reply(model, labeller, prompt, system) for prompt in PROMPTS]


def reply(model: Any, labeller: Labeller, chat: Sequence[ChatMessage], system: str | None) -> str:
    """Return the greedy reply to one chat, cut at MAX_NEW_TOKENS."""
    head = (ChatMessage("system", system),) if system else ()
    ids = torch.tensor([labeller.prompt_ids((*head, *chat))], device=model.device)
    model.eval()
    with torch.no_grad():
        out = model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=MAX_NEW_TOKENS,
            do_sample=False,
            use_cache=True,
            pad_token_id=min(labeller.end_ids),
            eos_token_id=sorted(labeller.end_ids),
            temperature=None,
            top_p=None,
            top_k=None,
        )
    model.train()
    text = labeller.tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True)
    return str(text).strip()
