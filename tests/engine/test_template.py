"""Typed text never becomes a control token, whatever the text."""

import random
from contextlib import nullcontext
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, normalizers

from chatbot.engine.base import ChatMessage, GenerationFailed, ModelNotFound
from chatbot.engine.template import ChatTemplate, fold_system
from tests.examples import examples
from tests.tiny import CHAT_TEMPLATE, CONTROL_TOKENS, make_tiny_tokenizer

PIECES = st.one_of(
    st.sampled_from([*CONTROL_TOKENS, "<|", "|>", "<|us", "er|>", "\ue000", "\ue001"]), st.text(max_size=4)
)
TYPED = st.lists(PIECES, max_size=6).map("".join)


@pytest.fixture(scope="module")
def template(tiny: Path) -> ChatTemplate:
    return ChatTemplate(tiny)


def _control(template: ChatTemplate, ids: list[int]) -> list[int]:
    return [i for i in ids if i in template.end_ids]


def test_a_prompt_is_laid_out_as_the_bundled_template_says(template: ChatTemplate) -> None:
    ids = template.render([ChatMessage("system", "Be kind."), ChatMessage("user", "hello")])
    assert template.decode(ids) == "<|begin|><|system|>Be kind.<|end|><|user|>hello<|end|><|assistant|>"


@settings(max_examples=examples(200))
@given(texts=st.lists(TYPED, min_size=1, max_size=4))
def test_hostile_text_makes_no_control_token(template: ChatTemplate, texts: list[str]) -> None:
    def chat(contents: list[str]) -> list[ChatMessage]:
        return [ChatMessage("user", content) for content in contents]

    plain, hostile = template.render(chat(["x"] * len(texts))), template.render(chat(texts))
    assert _control(template, hostile) == _control(template, plain)


def test_lone_surrogates_become_the_replacement_character(template: ChatTemplate) -> None:
    ids = template.render([ChatMessage("user", "a\ud800b")])
    assert "<|user|>a\ufffdb<|end|>" in template.decode(ids)


def test_an_unknown_role_is_refused(template: ChatTemplate) -> None:
    with pytest.raises(GenerationFailed, match="role 'tool' unknown"):
        template.render([ChatMessage("tool", "x")])  # type: ignore[arg-type]


def test_an_empty_chat_is_refused(template: ChatTemplate) -> None:
    with pytest.raises(GenerationFailed, match="at least one message"):
        template.render([])


@pytest.mark.parametrize(
    "said",
    [
        "<|user|>{{ '<|' + message['content'] + '|>' }}<|end|>",
        "<|user|>{{ message['content'] | replace('\u200b', '') }}<|end|>",
        "{{ message['content'] }}",
    ],
)
def test_a_template_that_joins_typed_text_into_control_tokens_is_refused(tmp_path: Path, said: str) -> None:
    make_tiny_tokenizer(f"{{% for message in messages %}}{said}{{% endfor %}}<|assistant|>").save_pretrained(tmp_path)
    with pytest.raises(ModelNotFound, match="lets typed text become control tokens"):
        ChatTemplate(tmp_path)


@pytest.mark.parametrize(
    "normalizer",
    [
        normalizers.NFKC(),
        normalizers.Lowercase(),
        normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents()]),
    ],
)
@pytest.mark.parametrize("normalized", [False, True])
def test_a_tokenizer_that_finds_control_tokens_in_what_it_normalized_is_refused(
    tmp_path: Path, normalizer: normalizers.Normalizer, normalized: bool
) -> None:
    tokenizer = make_tiny_tokenizer()
    tokenizer.backend_tokenizer.normalizer = normalizer
    tokenizer.add_special_tokens({"additional_special_tokens": [AddedToken("<|more|>", normalized=normalized)]})
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(ModelNotFound, match="typed text become control") if normalized else nullcontext():
        ChatTemplate(tmp_path)


def test_a_tokenizer_without_template_is_refused(tmp_path: Path) -> None:
    tokenizer = make_tiny_tokenizer()
    tokenizer.chat_template = None
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(ModelNotFound, match="no chat template"):
        ChatTemplate(tmp_path)


@pytest.mark.parametrize("source", ["{% for %}", "{{ 1 / 0 }}", "{{ messages[0]['content'] + 1 }}"])
def test_a_broken_template_is_refused(tmp_path: Path, source: str) -> None:
    make_tiny_tokenizer(source).save_pretrained(tmp_path)
    with pytest.raises(ModelNotFound, match="chat template cannot be used"):
        ChatTemplate(tmp_path)


def test_templates_of_which_none_is_the_default_are_refused(tmp_path: Path) -> None:
    tokenizer = make_tiny_tokenizer()
    tokenizer.chat_template = {"tool_use": CHAT_TEMPLATE, "rag": CHAT_TEMPLATE}
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(ModelNotFound, match="expected a chat template named default, got rag, tool_use"):
        ChatTemplate(tmp_path)


def test_a_template_that_refuses_blank_messages_is_served(tmp_path: Path) -> None:
    refusing = "{% if not messages[-1]['content'] | trim %}{{ raise_exception('blank') }}{% endif %}" + CHAT_TEMPLATE
    make_tiny_tokenizer(refusing).save_pretrained(tmp_path)
    ids = ChatTemplate(tmp_path).render([ChatMessage("user", "hello")])
    assert ChatTemplate(tmp_path).decode(ids) == "<|begin|><|user|>hello<|end|><|assistant|>"


def test_a_tokenizer_of_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    make_tiny_tokenizer().save_pretrained(tmp_path)
    path = tmp_path / "tokenizer.json"
    path.write_text(path.read_text("utf-8").replace('"type": "BPE"', '"type": "Future"'), "utf-8")
    with pytest.raises(ModelNotFound, match="tokenizer cannot be loaded"):
        ChatTemplate(tmp_path)


REFUSES_SYSTEM = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}"
SKIPS_SYSTEM = "{% set messages = messages | rejectattr('role', 'equalto', 'system') | list %}"


@pytest.mark.parametrize("opening", [REFUSES_SYSTEM, SKIPS_SYSTEM])
def test_system_text_goes_into_the_user_message_where_the_template_has_no_system_role(
    tmp_path: Path, opening: str
) -> None:
    make_tiny_tokenizer(opening + CHAT_TEMPLATE).save_pretrained(tmp_path)
    template = ChatTemplate(tmp_path)
    ids = template.render([ChatMessage("system", "Be kind."), ChatMessage("user", "hello")])
    assert template.decode(ids) == "<|begin|><|user|>Be kind.\n\nhello<|end|><|assistant|>"


def test_system_text_that_no_user_message_follows_is_said_last() -> None:
    asked, answered, rule = (
        {"role": role, "content": text}
        for role, text in (("user", "hello"), ("assistant", "ahoy"), ("system", "Be kind."))
    )
    said = {"role": "user", "content": "Be kind."}
    assert fold_system([rule]) == [said]
    assert fold_system([asked, answered, rule]) == [asked, answered, said]
    assert fold_system([asked, rule]) == [{"role": "user", "content": "hello\n\nBe kind."}]


def test_non_special_added_tokens_are_text_when_heard_and_not_tokens_when_typed(tmp_path: Path) -> None:
    tokenizer = make_tiny_tokenizer()
    tokenizer.add_tokens(["<think>"])
    tokenizer.save_pretrained(tmp_path)
    template = ChatTemplate(tmp_path)
    think = tokenizer.convert_tokens_to_ids("<think>")
    assert think not in template.end_ids
    assert think not in template.render([ChatMessage("user", "<think>")])
    assert template.detokenizer().push(think) == "<think>"


def test_streamed_text_equals_the_full_decode_for_random_ids(template: ChatTemplate) -> None:
    chance = random.Random(0)
    for _ in range(200):
        ids = [chance.randrange(273) for _ in range(chance.randrange(30))]
        stream = template.detokenizer()
        assert "".join([*map(stream.push, ids), stream.flush()]) == template.decode(ids)
