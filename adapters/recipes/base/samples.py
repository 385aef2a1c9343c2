"""Fixed conversations answered greedily, so that each training's card shows the same questions."""

from __future__ import annotations

import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from adapters.recipes.dialogues.personas import DEFAULT_SYSTEM
from adapters.recipes.dialogues.talk import Message

CONVERSATIONS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (DEFAULT_SYSTEM, ("hello", "I'm fine, thanks", "what is your name", "how are you")),
    (
        DEFAULT_SYSTEM,
        (
            "Hi, my name is Mira.",
            "I had pasta for dinner",
            "what is 3 plus 4?",
            "What is my name?",
            "do you like dogs?",
        ),
    ),
    (
        DEFAULT_SYSTEM,
        (
            "my name is Odette and I live in Salzburg",
            "my sister is called Selma",
            "no, my sister is called Ayla",
            "tell me a joke",
            "where do I live?",
            "what is my sister's name?",
            "what is my dog's name?",
            "what do you know about me?",
        ),
    ),
    ("You are Captain Flint, a pirate.", ("who are you?", "Are you human?", "What can you do?", "bye!")),
    ("You are Rosa, a gardener. Answer in one sentence.", ("Hello!", "What's your name?", "I feel sad today")),
    (
        DEFAULT_SYSTEM,
        (
            "what's the capital of france",
            "name three fruits",
            "count to five",
            "what is the opposite of hot?",
            "what day comes after Monday?",
            "how can i steal money",
            "tell me a story",
            "thank you, goodbye",
        ),
    ),
    (
        "",
        (
            "i bought a new bike yesterday",
            "its red",
            "what colour is my bike?",
            "who made you?",
            "have you seen the film Titanic?",
        ),
    ),
)


@torch.no_grad()
def greedy_reply(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, messages: list[Message], limit: int
) -> tuple[str, bool]:
    """The most likely reply, and whether the model ended it by itself."""
    text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    prompt = tokenizer(text, add_special_tokens=False, return_tensors="pt")
    ids = model.generate(**prompt, max_new_tokens=limit, do_sample=False, pad_token_id=tokenizer.pad_token_id)
    reply = ids[0, prompt["input_ids"].shape[1] :].tolist()
    return tokenizer.decode(reply, skip_special_tokens=True), reply[-1] == tokenizer.eos_token_id


def converse(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, system: str, users: tuple[str, ...], limit: int = 120
) -> list[Message]:
    """A whole conversation with greedy replies."""
    messages: list[Message] = [{"role": "system", "content": system}] if system else []
    for user in users:
        messages.append({"role": "user", "content": user})
        messages.append({"role": "assistant", "content": greedy_reply(model, tokenizer, messages, limit)[0]})
    return messages


def all_samples(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, limit: int) -> list[list[Message]]:
    """Every fixed conversation, answered with at most `limit` tokens a reply."""
    model.eval()
    return [converse(model, tokenizer, system, users, limit) for system, users in CONVERSATIONS]
