"""Renders messages into prompt tokens by the model's own chat template.

The invariant: what people type never becomes a control token. It is checked when a model is loaded, with a hostile
chat, and a template that fails is refused. The template comes from the base model alone, never from an adapter.
A tokenizer is not thread-safe: each thread owns a ChatTemplate.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import TemplateError
from transformers import AutoTokenizer
from transformers.utils.chat_template_utils import encode_marked_chat, mark_control_tokens, render_jinja_template

from chatbot.engine.base import ChatMessage, GenerationFailed, ModelNotFound
from chatbot.engine.detokenize import ByteDetokenizer, Detokenizer, WindowDetokenizer, token_byte_table
from chatbot.engine.hostile_chat import hostile_texts
from chatbot.engine.segments import Segments
from chatbot.engine.token_pattern import token_pattern

NOTHING = token_pattern([])
MARKED = mark_control_tokens("x", token_pattern("x"))
"""How transformers marks an "x" that was typed; with a string to put in, `re` would hash a large pattern each time."""
ROLES = frozenset({"system", "user", "assistant"})
REFUSALS = (TemplateError, ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""What rendering a chat may raise: a template is a program."""


class ChatTemplate:
    """The tokenizer of one model with its chat template."""

    def __init__(self, folder: Path) -> None:
        """Load the tokenizer of a model directory. Raises ModelNotFound if it cannot keep text and control apart."""
        self._tokenizer = load_tokenizer(folder)
        self._source = self._tokenizer.chat_template
        self._named_tokens = self._tokenizer.special_tokens_map
        self._segments: Segments | None = Segments(self._tokenizer)
        """None where a prompt can only be encoded whole."""
        self._control_ids = frozenset(self._tokenizer.added_tokens_decoder)
        self._control_token = token_pattern(self._tokenizer.added_tokens_encoder)
        self._byte_table = token_byte_table(self._tokenizer)
        self._accepts_system = self._probe_system_role()
        self.end_ids = self._find_end_ids()
        """Ids that end a reply: end of sequence and every special token.

        A model that begins another role by itself has said its turn, so such a token ends the reply too and never
        becomes text. Added tokens that are not special, such as <think>, are text like any other.
        """
        self.largest_id = self._check_invariant(folder)
        """Largest id in a chat with everything that people type."""
        self._check_segments()

    def render(self, messages: Sequence[ChatMessage]) -> list[int]:
        """Return the prompt's token ids, the opening of the assistant's reply included.

        Raises GenerationFailed if there are none, or if the template refuses them, such as an order of roles that it
        does not know.
        """
        if not messages:
            raise GenerationFailed("expected at least one message to answer, got none")
        chat = [_as_dict(message) for message in messages]
        if not self._accepts_system:
            chat = fold_system(chat)
        try:
            return self._encode(chat)
        except REFUSALS as error:
            raise GenerationFailed(f"the chat template refused the messages: {error}") from error

    def forget(self) -> None:
        """Forget what was rendered. For any thread."""
        if self._segments is not None:
            self._segments.forget()

    def detokenizer(self) -> Detokenizer:
        """Return a fresh converter from token ids to text for one reply."""
        if self._byte_table is not None:
            return ByteDetokenizer(self._byte_table)
        return WindowDetokenizer(self.decode)

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of token ids, all at once."""
        text = self._tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False)
        assert isinstance(text, str)
        return text

    def _encode(self, chat: list[dict[str, str]]) -> list[int]:
        if self._segments is None or any(self._control_token.search(message["content"]) for message in chat):
            return self._encode_whole(chat)
        return self._segments.encode(self._text(chat))

    def _text(self, chat: list[dict[str, str]]) -> str:
        """Return a chat as text: what `apply_chat_template` does, less what it does for chats that are not plain."""
        (prompt,), _ = render_jinja_template(
            [chat], chat_template=self._source, add_generation_prompt=True, **self._named_tokens
        )
        assert isinstance(prompt, str)
        return prompt

    def _encode_whole(self, chat: list[dict[str, str]]) -> list[int]:
        """Return the token ids of a chat, in which control tokens that were typed are text."""
        marked = [{**message, "content": self._marked(message["content"])} for message in chat]
        ids: list[int] = encode_marked_chat(self._tokenizer, self._text(marked))
        return ids

    def _marked(self, text: str) -> str:
        """Return a text whose control tokens are marked as typed, and which had no marks of its own."""
        return self._control_token.sub(lambda typed: MARKED.replace("x", typed[0]), mark_control_tokens(text, NOTHING))

    def _probe_system_role(self) -> bool:
        """Tell whether system text reaches the prompt: a template may refuse it, or leave it out without a word."""
        try:
            one, other = (
                self._encode([{"role": "system", "content": text}, {"role": "user", "content": "x"}]) for text in "ab"
            )
        except REFUSALS:
            return False
        return one != other

    def _find_end_ids(self) -> frozenset[int]:
        special = {i for i, token in self._tokenizer.added_tokens_decoder.items() if token.special}
        return frozenset(special | set(self._tokenizer.all_special_ids))

    def _check_invariant(self, folder: Path) -> int:
        """Render a hostile chat, and one of equal shape that says "x"; return the largest id in them."""
        attempts = hostile_texts(self._tokenizer.added_tokens_decoder)
        try:
            plain = self._encode_whole(self._chat_of(["x"] * len(attempts)))
            attacked = self._encode_whole(self._chat_of(attempts))
        except REFUSALS as error:
            raise ModelNotFound(f"{folder}: the chat template cannot be used: {error}") from error
        if self._control(plain) != self._control(attacked):
            raise ModelNotFound(
                f"{folder}: the chat template lets typed text become control tokens "
                f"({len(self._control(plain))} expected in a hostile chat, {len(self._control(attacked))} found)"
            )
        return max([*plain, *attacked], default=0)

    def _check_segments(self) -> None:
        """Do without segments if there is no place to cut, or if a chat of odd spaces shows that they do not add up."""
        chat = self._chat_of(["x", "  two  spaces ", "\n lines\r\n\n\ttabs\t", "Ünïcödé 你好 👩‍🚀 é 12 345", " "])
        try:
            adds_up = self._encode(chat) == self._encode_whole(chat)
        except REFUSALS:  # such as one of a message that is blank
            adds_up = False
        if not adds_up or not (self._segments and self._segments.places):
            self._segments = None

    def _chat_of(self, contents: Sequence[str]) -> list[dict[str, str]]:
        roles = ("user", "assistant")
        return [{"role": roles[i % 2], "content": content} for i, content in enumerate(contents)]

    def _control(self, ids: Sequence[int]) -> list[int]:
        return [i for i in ids if i in self._control_ids]


def load_tokenizer(folder: Path) -> Any:  # transformers is untyped
    """Return a model's tokenizer, with the template that it chats by alone. Raises ModelNotFound if it has none."""
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except Exception as error:  # that is what tokenizers raises for a file that it does not know
        raise ModelNotFound(f"{folder}: the tokenizer cannot be loaded: {error}") from error
    tokenizer.chat_template = _chat_template(tokenizer, folder)
    tokenizer.chat_control_tokens = list(tokenizer.added_tokens_encoder)
    return tokenizer


def _chat_template(tokenizer: Any, folder: Path) -> str:
    if not tokenizer.chat_template:
        raise ModelNotFound(f"{folder}: the model has no chat template; expected a chat-tuned model")
    try:
        source: str = tokenizer.get_chat_template()
    except ValueError as error:  # there are several
        names = ", ".join(sorted(tokenizer.chat_template))
        raise ModelNotFound(f"{folder}: expected a chat template named default, got {names}") from error
    return source


def _as_dict(message: ChatMessage) -> dict[str, str]:
    if message.role not in ROLES:
        raise GenerationFailed(f"role {message.role!r} unknown; expected one of {sorted(ROLES)}")
    return {"role": message.role, "content": _whole_characters(message.text)}


def _whole_characters(text: str) -> str:
    """Replace lone surrogates, which no tokenizer can encode, by U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def fold_system(chat: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    """Move system text to the top of the user message that follows, or to the end, for templates without that role."""
    folded: list[dict[str, str]] = []
    pending: list[str] = []
    for message in chat:
        if message["role"] == "system":
            pending.append(message["content"])
        elif message["role"] == "user" and pending:
            folded.append({"role": "user", "content": "\n\n".join([*pending, message["content"]])})
            pending = []
        else:
            folded.append(message)
    if pending:
        asked = [folded.pop()["content"]] if folded and folded[-1]["role"] == "user" else []
        folded.append({"role": "user", "content": "\n\n".join([*asked, *pending])})
    return folded
