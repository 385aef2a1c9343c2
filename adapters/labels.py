"""Marks which tokens of a rendered chat the assistant says: those, and the token that ends its turn, are learned.

Tokens are rendered exactly as the engine renders them, so that training and chatting see the same prompt. Templates
with generation markers say themselves what is the assistant's; for others, what a reply adds to its prompt is.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import TemplateSyntaxError

from adapters.errors import CannotTrain
from adapters.packing import Example
from chatbot.engine.base import ChatMessage, ModelNotFound
from chatbot.engine.template import REFUSALS, fold_system, load_tokenizer


@dataclass(frozen=True, slots=True)
class Labelled:
    """The chats of a data set as tokens."""

    examples: tuple[Example, ...]
    cut: int
    """Chats that lost their last turns because they were too long."""
    dropped: int
    """Chats of which not even the first exchange fits."""


class Labeller:
    """The tokenizer and chat template of a base model, for training."""

    def __init__(self, base: Path) -> None:
        """Load the tokenizer of a model directory. Raises CannotTrain if it has no chat template that can be read."""
        try:
            self.tokenizer = load_tokenizer(base)
        except ModelNotFound as error:
            raise CannotTrain(str(error)) from error
        added = self.tokenizer.added_tokens_decoder
        self.end_ids = {i for i, token in added.items() if token.special} | set(self.tokenizer.all_special_ids)
        self._has_markers = "{% generation" in self.tokenizer.chat_template.replace("{%-", "{%")
        self._accepts_system = self._probe_system_role(base)

    def label_all(
        self, chats: Sequence[Sequence[ChatMessage]], max_tokens: int, on_chat: Callable[[], None] = lambda: None
    ) -> Labelled:
        """Return all chats as examples of at most `max_tokens`; a chat that is too long loses its last exchanges.

        Raises CannotTrain if the template leaves a reply or the end of its turn without a label.
        """
        examples: list[Example] = []
        cut = dropped = 0
        for chat in chats:
            on_chat()
            fitting, lost = self._fit(chat, max_tokens)
            cut += bool(fitting) and lost
            dropped += not fitting
            examples += fitting
        return Labelled(tuple(examples), cut, dropped)

    def label(self, chat: Sequence[ChatMessage]) -> list[Example]:
        """Return the chat as one example, or as one for each reply if the template shows old replies differently."""
        messages = self._messages(chat)
        if self._has_markers and (example := self._by_markers(messages)) is not None:
            return [example]
        whole = self._by_difference(messages)
        return [whole] if whole is not None else list(self._reply_by_reply(messages))

    def prompt_ids(self, chat: Sequence[ChatMessage]) -> list[int]:
        """Return the tokens that the engine would send for this chat, the opening of the reply included."""
        return self._render(self._messages(chat), is_prompt=True)

    def _fit(self, chat: Sequence[ChatMessage], max_tokens: int) -> tuple[list[Example], bool]:
        """Return the examples of the longest beginning of a chat that fits, and whether something was lost."""
        ends = [number for number, message in enumerate(chat, 1) if message.role == "assistant"]
        if self._length(chat) > max_tokens:  # rendered once where labelling renders each reply: 400 take 1 s, not 30
            ends = ends[: bisect_right(ends, max_tokens, key=lambda end: self._length(chat[:end]))]
        fitting = self.label(chat[: ends[-1]]) if ends else []
        if _is_too_long(fitting, max_tokens):  # where an old reply was longer while it was the last
            ends = ends[: bisect_left(ends, True, key=lambda end: _is_too_long(self.label(chat[:end]), max_tokens))]
            fitting = self.label(chat[: ends[-1]]) if ends else []
        return fitting, not ends or ends[-1] < len(chat)

    def _length(self, chat: Sequence[ChatMessage]) -> int:
        return len(self._render(self._messages(chat), is_prompt=False))

    def _messages(self, chat: Sequence[ChatMessage]) -> list[dict[str, str]]:
        """Return a chat as the template takes it."""
        messages = [{"role": message.role, "content": message.text} for message in chat]
        return messages if self._accepts_system else fold_system(messages)

    def _by_markers(self, messages: list[dict[str, str]]) -> Example | None:
        """Return the example by the template's own markers; None where their tokens differ from the engine's."""
        rendered = self._applied(messages, return_dict=True, return_assistant_tokens_mask=True)
        ids = [int(i) for i in rendered["input_ids"]]
        if ids != self._render(messages, is_prompt=False):
            return None
        marked = [bool(is_marked) for is_marked in rendered["assistant_masks"]]
        spans = _runs(marked)
        if len(spans) != sum(message["role"] == "assistant" for message in messages):
            return None
        return self._example(ids, [(begin, self._to_its_end(ids, begin, end)) for begin, end in spans])

    def _by_difference(self, messages: list[dict[str, str]]) -> Example | None:
        """Return the example by what each reply adds; None if an earlier rendering is no prefix of the whole."""
        ids = self._render(messages, is_prompt=False)
        spans = []
        for number, message in enumerate(messages):
            if message["role"] != "assistant":
                continue
            prompt = self._render(messages[:number], is_prompt=True)
            said = self._render(messages[: number + 1], is_prompt=False)
            if said[: len(prompt)] != prompt or ids[: len(said)] != said:
                return None
            spans.append((len(prompt), len(said)))
        return self._example(ids, spans)

    def _reply_by_reply(self, messages: list[dict[str, str]]) -> Iterator[Example]:
        for number, message in enumerate(messages):
            if message["role"] != "assistant":
                continue
            prompt = self._render(messages[:number], is_prompt=True)
            ids = self._render(messages[: number + 1], is_prompt=False)
            if ids[: len(prompt)] != prompt:
                raise CannotTrain(
                    "the base's chat template writes a prompt that its own replies do not continue, "
                    "so the reply's tokens cannot be told (choose another base, or give it {% generation %} markers)"
                )
            yield self._example(ids, [(len(prompt), len(ids))])

    def _example(self, ids: list[int], spans: Sequence[tuple[int, int]]) -> Example:
        """Label each span up to and including the token that ends the turn: its last special one, for a template may
        put others at the head of a reply or inside it."""
        is_label = [False] * len(ids)
        for begin, end in spans:
            stop = self._last_special(ids, begin, end)
            if stop is None:
                raise CannotTrain(
                    "the base's chat template puts no end-of-turn token after a reply, "
                    "so the persona would never stop talking (choose another base)"
                )
            is_label[begin : stop + 1] = [True] * (stop + 1 - begin)
        is_label[0] = False
        if not any(is_label):
            raise CannotTrain("the base's chat template leaves a chat without any reply to learn (choose another base)")
        return Example(tuple(ids), tuple(is_label))

    def _to_its_end(self, ids: list[int], begin: int, end: int) -> int:
        """Return where a marked reply ends, with the token that ends its turn if that stands right after the mark."""
        last = self._last_special(ids, begin, end)
        is_ended = last is not None and not self.tokenizer.decode(ids[last + 1 : end]).strip()
        return end + (not is_ended and end < len(ids) and ids[end] in self.end_ids)

    def _last_special(self, ids: list[int], begin: int, end: int) -> int | None:
        return next((i for i in reversed(range(begin, end)) if ids[i] in self.end_ids), None)

    def _render(self, messages: Sequence[dict[str, str]], *, is_prompt: bool) -> list[int]:
        ids = self._applied(
            list(messages), add_generation_prompt=is_prompt, sanitize_control_tokens=True, return_dict=False
        )
        return [int(i) for i in ids]

    def _applied(self, messages: list[dict[str, str]], **options: bool) -> Any:  # transformers is untyped
        """Return what the template makes of a chat. Raises CannotTrain if it refuses it."""
        try:
            return self.tokenizer.apply_chat_template(messages, **options)
        except REFUSALS as error:
            raise CannotTrain(f"the base's chat template refused a chat: {error} (choose another base)") from error

    def _probe_system_role(self, base: Path) -> bool:
        try:
            self._render([{"role": "system", "content": "x"}, {"role": "user", "content": "x"}], is_prompt=True)
        except CannotTrain as refused:
            if isinstance(error := refused.__cause__, TemplateSyntaxError):
                raise CannotTrain(f"{base}: line {error.lineno} of its chat template is no Jinja: {error}") from error
            return False
        return True


def _is_too_long(examples: Sequence[Example], max_tokens: int) -> bool:
    return any(len(example.ids) > max_tokens for example in examples)


def _runs(marked: Sequence[bool]) -> list[tuple[int, int]]:
    """Return begin and end of each run of marked tokens."""
    edges = [i for i in range(len(marked) + 1) if (i < len(marked) and marked[i]) != (i > 0 and marked[i - 1])]
    return list(zip(edges[::2], edges[1::2], strict=True))
