"""Text comes out whole, complete and without stop strings, however it is cut into tokens."""

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers

from chatbot.engine.detokenize import (
    ByteDetokenizer,
    Detokenizer,
    ReplyText,
    StopStrings,
    WindowDetokenizer,
    token_byte_table,
)
from tests.tiny import make_tiny_tokenizer

BYTES = [bytes([i]) for i in range(256)]
SOME_BYTES = st.one_of(st.binary(max_size=40), st.text(max_size=20).map(str.encode))


def _lossy(ids: object) -> str:
    assert isinstance(ids, list)
    return bytes(ids).decode("utf-8", errors="replace")


def _spelled(ids: Sequence[int]) -> str:
    """Return the text of bytes as SENTENCEPIECE has it, whose token of a byte stands one further on."""
    return str(SENTENCEPIECE.decode([byte + 1 for byte in ids]))


def _stream(detokenizer: Detokenizer, ids: list[int]) -> list[str]:
    return [*map(detokenizer.push, ids), detokenizer.flush()]


@given(SOME_BYTES)
def test_byte_tokens_stream_to_what_they_decode_to_at_once(data: bytes) -> None:
    assert "".join(_stream(ByteDetokenizer(BYTES), list(data))) == data.decode("utf-8", errors="replace")


@given(SOME_BYTES)
def test_windows_stream_to_what_they_decode_to_at_once(data: bytes) -> None:
    assert "".join(_stream(WindowDetokenizer(_lossy), list(data))) == data.decode("utf-8", errors="replace")


@given(st.text(max_size=20))
def test_valid_text_never_comes_out_as_half_a_character(text: str) -> None:
    for detokenizer in (ByteDetokenizer(BYTES), WindowDetokenizer(_lossy)):
        pieces = [piece for piece in _stream(detokenizer, list(text.encode())) if piece]
        assert "".join(pieces) == text
        assert all(piece in text for piece in pieces)


@given(st.lists(st.integers(0, 272), max_size=30))
def test_the_byte_table_of_a_real_tokenizer_agrees_with_its_decoder(ids: list[int]) -> None:
    table = token_byte_table(TOKENIZER)
    assert table is not None
    assert "".join(_stream(ByteDetokenizer(table), ids)) == TOKENIZER.decode(ids)


@given(st.text(max_size=12))
def test_a_sentencepiece_tokenizer_streams_to_what_it_decodes_to_at_once(text: str) -> None:
    ids = SENTENCEPIECE.encode(text).ids
    stream = _stream(WindowDetokenizer(lambda some: SENTENCEPIECE.decode(list(some))), ids)
    assert "".join(stream) == SENTENCEPIECE.decode(ids)


@pytest.mark.parametrize("decode", [_lossy, _spelled])
def test_bytes_that_never_become_a_character_are_let_go(decode: Callable[[Sequence[int]], str]) -> None:
    decoded = []

    def counted(ids: Sequence[int]) -> str:
        decoded.append(len(ids))
        return decode(ids)

    data = [0xE2] * 100
    assert "".join(_stream(WindowDetokenizer(counted), data)) == decode(data)
    assert max(decoded) < 20


def test_what_follows_bytes_that_never_become_a_character_comes_whole() -> None:
    detokenizer = WindowDetokenizer(lambda some: SENTENCEPIECE.decode(list(some)))
    spelled = [byte + 1 for byte in b"\xe2\x82" + 4 * "\N{GRINNING FACE}".encode()]
    assert "".join(_stream(detokenizer, [*spelled, *SENTENCEPIECE.encode(" ab ab").ids])).endswith(" ab ab")


def test_tokens_beyond_the_tokenizer_have_no_text() -> None:
    assert ByteDetokenizer(BYTES).push(9999) == ""


@given(
    pieces=st.lists(st.text("ab.", max_size=3), max_size=12),
    stops=st.lists(st.text("ab.", min_size=1, max_size=4), max_size=3),
)
def test_stop_strings_cut_where_the_whole_text_would_be_cut(pieces: list[str], stops: list[str]) -> None:
    filter_ = StopStrings(stops)
    passed = ""
    for piece in pieces:
        passed += filter_.push(piece)
        assert not any(stop in passed for stop in stops)
    text = "".join(pieces)
    if filter_.hit:
        assert text.startswith(passed)
        assert any(text[len(passed) :].startswith(stop) for stop in stops)
    else:
        assert passed + filter_.flush() == text
        assert not any(stop in text for stop in stops)


def test_text_that_may_begin_a_stop_string_waits_for_what_follows() -> None:
    stops = StopStrings(["User:"])
    assert stops.push("Fine. Us") == "Fine. "
    assert stops.push("ually") == "Usually"
    assert stops.push(" User") == " "
    assert stops.push(": hi") == ""
    assert stops.hit


def test_a_reply_ends_with_what_was_held_back() -> None:
    reply = ReplyText(ByteDetokenizer(BYTES), ["!!"])
    assert [reply.push(byte) for byte in "hé!".encode()] == ["h", "", "é", ""]
    assert reply.end() == "!"
    assert not reply.is_stopped


def test_an_unfinished_character_at_the_end_is_a_replacement_character() -> None:
    reply = ReplyText(ByteDetokenizer(BYTES), [])
    assert reply.push("é".encode()[0]) == ""
    assert reply.end() == "\ufffd"


def _sentencepiece() -> Tokenizer:
    """A tokenizer as Llama 2 has it: words begin with ▁, unknown characters are spelled in bytes."""
    pieces = ["<unk>", *(f"<0x{i:02X}>" for i in range(256)), "▁", *"abcdeé", "▁a", "▁ab", "▁cd"]
    merges = [("▁", "a"), ("▁a", "b")]
    vocab = {piece: i for i, piece in enumerate(pieces)}
    core = Tokenizer(models.BPE(vocab=vocab, merges=merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    core.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    core.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return core


TOKENIZER = make_tiny_tokenizer()
SENTENCEPIECE = _sentencepiece()
