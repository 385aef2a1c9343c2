"""A prompt encoded segment by segment has the very tokens of the whole, whatever the tokenizer does about spaces."""

from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from chatbot.engine.base import ChatMessage
from chatbot.engine.segments import MOST_CHARACTERS, Segments, _standing_apart
from chatbot.engine.template import ChatTemplate
from tests.examples import examples
from tests.tiny import CONTROL_TOKENS, make_tiny_tokenizer

SPACES_AND_ALL = st.lists(
    st.one_of(st.sampled_from([" ", "  ", "\n", "\t", "the", " hello", "<|", "|>", "é", "👩‍🚀"]), st.text(max_size=4)),
    max_size=6,
).map(lambda pieces: "".join(pieces).translate({0xE000: "x", 0xE001: "x"}))  # which the whole drops


def plain() -> PreTrainedTokenizerFast:
    return make_tiny_tokenizer()


def first_word_apart() -> PreTrainedTokenizerFast:
    """Another space before the first word of all, as SentencePiece models have it."""
    tokenizer = make_tiny_tokenizer()
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    letters = ["▁t", *"▁abcdefghijklmnopqrstuvwxyz", *(f"<0x{byte:02X}>" for byte in range(256))]
    vocab = {piece: i for i, piece in enumerate(letters)}
    tokenizer.backend_tokenizer.model = models.BPE(vocab=vocab, merges=[("▁", "t")], byte_fallback=True)
    tokenizer.backend_tokenizer.add_special_tokens(list(CONTROL_TOKENS))
    return tokenizer


def composed() -> PreTrainedTokenizerFast:
    tokenizer = make_tiny_tokenizer()
    tokenizer.backend_tokenizer.normalizer = normalizers.NFC()
    return tokenizer


def greedy_for_spaces() -> PreTrainedTokenizerFast:
    """Control tokens that take the spaces on both sides."""
    tokenizer = make_tiny_tokenizer()
    greedy = [AddedToken(token, lstrip=True, rstrip=True, special=True) for token in CONTROL_TOKENS]
    tokenizer.add_special_tokens({"additional_special_tokens": greedy})
    return tokenizer


@pytest.mark.parametrize("kind", [plain, first_word_apart, composed, greedy_for_spaces])
def test_segments_add_up_to_the_whole(tmp_path: Path, kind: type[PreTrainedTokenizerFast]) -> None:
    kind().save_pretrained(tmp_path)
    template = ChatTemplate(tmp_path)

    @settings(max_examples=examples(60), deadline=None)
    @given(texts=st.lists(SPACES_AND_ALL, min_size=1, max_size=5))
    def check(texts: list[str]) -> None:
        chat = [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(texts)]
        assert template._encode(chat) == template._encode_whole(chat)

    check()


def test_only_what_is_new_is_encoded_and_nothing_is_kept_that_was_forgotten(tmp_path: Path) -> None:
    make_tiny_tokenizer().save_pretrained(tmp_path)
    template = ChatTemplate(tmp_path)
    said = [ChatMessage("user", "my name is Ada"), ChatMessage("assistant", "hello Ada")]
    template.render(said)
    with patch.object(template._tokenizer, "encode", wraps=template._tokenizer.encode) as encode:
        template.render([*said, ChatMessage("user", "who am I?")])
        assert [call.args[0] for call in encode.call_args_list] == ["<|user|>who am I?"]
        encode.reset_mock()
        template.forget()
        template.render(said)
        assert "<|user|>my name is Ada" in [call.args[0] for call in encode.call_args_list]


def test_long_texts_are_kept_only_as_far_as_there_is_room() -> None:
    tokenizer = make_tiny_tokenizer()
    segments = Segments(tokenizer)
    long = [f"<|user|>{digit}" + "x" * (MOST_CHARACTERS // 2) for digit in "123"]
    with patch.object(tokenizer, "encode", return_value=[0]) as encode:
        for text in (*long, *long):
            segments.encode(text)
    assert [call.args[0] for call in encode.call_args_list if call.args[0]] == [*long, *long]


@given(names=st.lists(st.text("<a>", min_size=1, max_size=4), unique=True, max_size=5))
def test_tokens_stand_apart_that_are_found_whatever_is_written_before_them(names: list[str]) -> None:
    def is_in_the_way(name: str, token: str) -> bool:
        return name != token and (token in name or any(name.endswith(token[:i]) for i in range(1, len(token))))

    apart = [token for token in names if not any(is_in_the_way(name, token) for name in names)]
    assert _standing_apart(names, names) == apart


def test_a_tokenizer_whose_segments_do_not_add_up_has_its_prompts_encoded_whole(tmp_path: Path) -> None:
    make_tiny_tokenizer().save_pretrained(tmp_path)
    with patch.object(Segments, "encode", return_value=[0]):
        template = ChatTemplate(tmp_path)
        prompt = template.render([ChatMessage("user", "hello")])
    assert template.decode(prompt).endswith("<|user|>hello<|end|><|assistant|>")
