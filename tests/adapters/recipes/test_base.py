"""The base model's recipe on a tiny scale: tokenizer, documents, rows, and a run that was killed and resumed."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

from adapters.recipes.base.__main__ import main
from adapters.recipes.base.corpus import Corpus
from adapters.recipes.base.documents import COPIED_WEIGHT, Document, Encoder
from adapters.recipes.base.freed_memory import keep_freed_memory
from adapters.recipes.base.mixture import Mixture
from adapters.recipes.base.model import SHAPES, Shape, new_model, parameter_count, save_model
from adapters.recipes.base.progress import LATE, Budget, is_late, rate_factor, stage_at
from adapters.recipes.base.rows import pack
from adapters.recipes.base.throughput import flops_per_token
from adapters.recipes.base.tokenizer import CONTROL_TOKENS, train_tokenizer
from adapters.recipes.base.train import Plan, batch_loss, train
from adapters.recipes.dialogues import dialogues
from adapters.recipes.dialogues.talk import Message
from chatbot.conversation.recalled import HEAD

TINY = Shape(hidden=32, layers=2, heads=2, kv_heads=1, feed_forward=64, vocab=400)
SMALL = "--hidden 32 --layers 1 --heads 2 --kv-heads 1 --feed-forward 64 --vocab 400 --tokenizer-dialogues 20"
QUICK = "--steps 3 --no-bfloat16 --threads 1 --batch-tokens 256 --sample-tokens 2"
TALK = [
    {"role": "system", "content": "You are Ada."},
    {"role": "user", "content": "hi, I'm 42"},
    {"role": "assistant", "content": "Hello!"},
    {"role": "user", "content": "bye"},
    {"role": "assistant", "content": "Goodbye."},
]


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    texts = (message["content"] for dialogue in dialogues(3, 60) for message in dialogue.messages)
    return train_tokenizer(texts, TINY.vocab)


def test_control_tokens_have_the_first_ids(tokenizer: PreTrainedTokenizerFast) -> None:
    assert tokenizer.convert_tokens_to_ids(list(CONTROL_TOKENS)) == [0, 1, 2, 3, 4, 5]
    assert (tokenizer.pad_token, tokenizer.bos_token, tokenizer.eos_token) == CONTROL_TOKENS[:3]


@given(text=st.text(max_size=60))
def test_any_text_comes_back_unchanged(tokenizer: PreTrainedTokenizerFast, text: str) -> None:
    ids = tokenizer.encode(text, add_special_tokens=False)
    assert tokenizer.decode(ids) == text


def test_digits_stand_alone(tokenizer: PreTrainedTokenizerFast) -> None:
    assert [tokenizer.decode([each]) for each in tokenizer.encode("2048", add_special_tokens=False)] == list("2048")


def test_the_template_renders_turns_without_anything_between(tokenizer: PreTrainedTokenizerFast) -> None:
    text = tokenizer.apply_chat_template(TALK[:3], tokenize=False)
    assert text == "<|begin|><|system|>You are Ada.<|end|><|user|>hi, I'm 42<|end|><|assistant|>Hello!<|end|>"
    prompt = tokenizer.apply_chat_template(TALK[:2], tokenize=False, add_generation_prompt=True)
    assert prompt.endswith("<|user|>hi, I'm 42<|end|><|assistant|>")


def test_a_dialogue_has_the_templates_ids_and_labels_on_assistant_turns_only(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    document = Encoder(tokenizer).dialogue(TALK)
    rendered = tokenizer.apply_chat_template(TALK, tokenize=True, return_dict=True, return_assistant_tokens_mask=True)
    assert document.ids == rendered["input_ids"]
    assert [weight > 0 for weight in document.weights] == [bool(each) for each in rendered["assistant_masks"]]


def test_plain_text_is_learnt_whole(tokenizer: PreTrainedTokenizerFast) -> None:
    document = Encoder(tokenizer).text("Once.")
    assert document.ids[0] == 1
    assert document.ids[-1] == 2
    assert document.weights == [0.0] + [1.0] * (len(document) - 1)


def test_rows_are_full_length_and_positions_restart_with_each_document() -> None:
    documents = [Document([1, 7, 2], [0.0, 1.0, 1.0]), Document([1, 8, 8, 2], [0.0, 0.0, 4.0, 0.0])]
    batch = pack(iter(documents), rows=1, length=9, pad=0)
    assert batch.ids.tolist() == [[1, 7, 2, 1, 8, 8, 2, 0, 0]]
    assert batch.positions.tolist() == [[0, 1, 2, 0, 1, 2, 3, 0, 1]]
    assert batch.starts.tolist() == [0, 3, 7, 9]
    assert batch.learnt.tolist() == [0, 1, 4]


def test_documents_fill_the_first_row_with_room_for_them() -> None:
    documents = [Document([1] * size, [1.0] * size) for size in (3, 4, 2, 1)]
    batch = pack(iter(documents), rows=2, length=5, pad=0)
    assert batch.starts.tolist() == [0, 3, 5, 9, 10]


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_packed_documents_do_not_see_each_other(tokenizer: PreTrainedTokenizerFast, attention: str) -> None:
    model = new_model(TINY, tokenizer, seed=0).eval()
    model.set_attn_implementation(attention)
    encoder = Encoder(tokenizer)
    documents = [encoder.dialogue(dialogue.messages) for dialogue in islice(dialogues(3, 9), 3)]
    batch = pack(iter(documents), rows=1, length=sum(map(len, documents)), pad=0)
    with torch.no_grad():
        together = model(input_ids=batch.ids, position_ids=batch.positions, use_cache=False).logits[0]
        alone = [model(input_ids=torch.tensor([each.ids]), use_cache=False).logits[0] for each in documents]
    assert torch.allclose(together, torch.cat(alone), atol=1e-4)


def test_what_an_answer_copies_weighs_more_up_to_the_token_that_ends_it(tokenizer: PreTrainedTokenizerFast) -> None:
    told: list[Message] = [
        {"role": "user", "content": "my tuner is Bo Zork"},
        {"role": "assistant", "content": "Bo Zork, a tuner."},
    ]
    document = Encoder(tokenizer).dialogue(told, {"bo zork"})
    heavy = [id for id, weight in zip(document.ids, document.weights, strict=True) if weight == COPIED_WEIGHT]
    assert tokenizer.decode(heavy) == "Bo Zork,"
    assert len(document.weights) == len(document.ids)


def test_equal_weights_give_the_loss_that_transformers_computes(tokenizer: PreTrainedTokenizerFast) -> None:
    model = new_model(TINY, tokenizer, seed=0).eval()
    batch = _mixture(tokenizer).batch("chat", 0)
    batch = replace(batch, weights=(batch.weights > 0).float())
    with torch.no_grad():
        mine, _ = batch_loss(model, batch)
        logits = model(input_ids=batch.ids, position_ids=batch.positions, use_cache=False).logits
    labels = torch.where(batch.weights > 0, batch.ids, -100)
    theirs = torch.nn.functional.cross_entropy(logits[:, :-1].reshape(-1, logits.shape[-1]), labels[:, 1:].reshape(-1))
    assert mine.item() == pytest.approx(theirs.item(), rel=1e-4)


def test_a_batch_depends_on_its_step_alone(tokenizer: PreTrainedTokenizerFast) -> None:
    first, again = _mixture(tokenizer).batch("chat", 7), _mixture(tokenizer).batch("chat", 7)
    other = _mixture(tokenizer).batch("chat", 8)
    assert torch.equal(first.ids, again.ids)
    assert not torch.equal(first.ids, other.ids)


def test_a_larger_share_of_remembering_brings_more_of_memorys_excerpts(tokenizer: PreTrainedTokenizerFast) -> None:
    def excerpts(remembering: float) -> int:
        mixture = _mixture(tokenizer, remembering)
        texts = (tokenizer.decode(mixture.batch("chat", step).ids[0]) for step in range(20))
        return sum(text.count(HEAD) for text in texts)

    assert excerpts(1.0) > 1.2 * excerpts(0.0) > 0


def test_what_people_said_to_each_other_is_given_back(tokenizer: PreTrainedTokenizerFast) -> None:
    def given_back(name: str) -> int:
        corpus = Corpus({name: ["What now?\nI sailed my boat."]}, {})
        mixture = Mixture(Encoder(tokenizer), corpus, seed=1, tokens=512, pad=0)
        texts = (tokenizer.decode(mixture.batch("chat", step).ids[0]) for step in range(12))
        return sum("ou sailed your boat" in text for text in texts)

    assert given_back("spc.jsonl") > 0
    assert given_back("tinystories_bits.txt") == 0


def test_a_run_that_was_killed_and_resumed_equals_a_straight_one(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    mixture = _mixture(tokenizer)
    straight = new_model(TINY, tokenizer, seed=0)
    train(straight, mixture, _plan(), tmp_path / "straight", _silent)

    def kill_at_three(entry: dict[str, float | int | str]) -> None:
        if entry["step"] == 3:
            raise KeyboardInterrupt

    first = new_model(TINY, tokenizer, seed=0)
    with pytest.raises(KeyboardInterrupt):
        train(first, mixture, _plan(), tmp_path / "broken", kill_at_three)
    resumed = new_model(TINY, tokenizer, seed=5)
    state = train(resumed, mixture, _plan(), tmp_path / "broken", _silent)
    assert state.step == 6
    for name, weight in straight.state_dict().items():
        assert torch.equal(weight, resumed.state_dict()[name]), name


def test_a_paused_run_has_saved_itself_and_goes_on_later(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    plan = replace(_plan(), pause_after_s=0.0)
    paused = train(new_model(TINY, tokenizer, seed=0), _mixture(tokenizer), plan, tmp_path / "run", _silent)
    assert (paused.step, plan.is_over(paused)) == (0, False)
    assert (tmp_path / "run" / "state.json").is_file()
    state = train(new_model(TINY, tokenizer, seed=0), _mixture(tokenizer), _plan(), tmp_path / "run", _silent)
    assert state.step == 6


def test_large_weights_are_saved_in_shards_that_load_as_one(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.recipes.base.model.SHARD", "20KB")
    model = new_model(TINY, tokenizer, seed=0)
    save_model(model, tokenizer, tmp_path)
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 1
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.bfloat16)
    assert torch.equal(loaded.model.embed_tokens.weight, model.model.embed_tokens.weight.bfloat16())


def test_each_line_of_the_curve_tells_speed_and_share_of_peak(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    model = new_model(TINY, tokenizer, seed=0)
    state = train(model, _mixture(tokenizer), _plan(), tmp_path / "run", _silent)
    last = state.log[-1]
    assert (last["step"], last["stage"]) == (6, "chat")
    assert float(last["tokens_per_s"]) > 0
    assert 0 < float(last["share_of_peak"]) < 1
    assert flops_per_token(model, 512) > 6 * parameter_count(model)


def test_the_medium_shape_is_what_the_project_ships_from_a_gpu(tokenizer: PreTrainedTokenizerFast) -> None:
    with torch.device("meta"):
        shape = SHAPES["medium"]
        count = parameter_count(new_model(shape, tokenizer, seed=0)) + (shape.vocab - len(tokenizer)) * shape.hidden
    assert 25e6 < count < 30e6


def test_the_command_makes_a_model_that_transformers_loads(tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    (corpus / "tinystories_bits.txt").write_text("Tom ran.\nHe fell.\n\nMia sang.\n", "utf-8")
    out = tmp_path / "model"
    main(["--corpus", str(corpus), "--out", str(out), *SMALL.split(), *QUICK.split()])
    model = AutoModelForCausalLM.from_pretrained(out)
    assert model.dtype == torch.bfloat16
    assert model.config.tie_word_embeddings
    assert model.generation_config.eos_token_id == 2
    assert AutoTokenizer.from_pretrained(out).chat_template
    figures = json.loads((out / "training.json").read_text("utf-8"))
    assert (figures["steps"], figures["precision"]) == (3, "float32")
    card = (out / "README.md").read_text("utf-8")
    assert "CC BY-SA 3.0" in card
    assert figures["command"] == (
        "python -m adapters.recipes.base --corpus CORPUS --out DIR --steps 3 --threads 1 --batch-tokens 256"
        " --tokenizer-dialogues 20 --sample-tokens 2 --no-bfloat16"
        " --hidden 32 --layers 1 --heads 2 --kv-heads 1 --feed-forward 64 --vocab 400"
    )
    assert str(tmp_path) not in card
    with pytest.raises(
        SystemExit, match=r"holds another run: seed 1, now 2; corpus \{'tinystories_bits.txt': 2\}, now \{\}"
    ):
        main(["--out", str(out), "--seed", "2", *SMALL.split(), *QUICK.split()])


def test_a_finished_model_goes_on_learning_and_only_what_is_to_learn_changes(tmp_path: Path) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    main(["--out", str(before), *SMALL.split(), *QUICK.split()])
    main(["--from", str(before), "--learn", "attention", "--out", str(after), *QUICK.split()])
    old, new = (AutoModelForCausalLM.from_pretrained(folder).state_dict() for folder in (before, after))
    changed = {name for name in old if not torch.equal(old[name], new[name])}
    assert changed == {name for name in old if "self_attn" in name}
    assert (before / "tokenizer.json").read_bytes() == (after / "tokenizer.json").read_bytes()
    figures = json.loads((after / "training.json").read_text("utf-8"))
    assert figures["before"] == json.loads((before / "training.json").read_text("utf-8"))
    card = (after / "README.md").read_text("utf-8")
    assert card.index(figures["before"]["command"]) < card.index("--from MODEL --learn attention")


def test_a_missing_corpus_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="corpus folder"):
        Corpus.read(tmp_path / "nowhere")


@pytest.mark.skipif(sys.platform != "linux", reason="mallopt is glibc's")
def test_the_allocator_takes_the_order_to_keep_freed_memory() -> None:
    assert keep_freed_memory()


def test_the_rate_warms_up_stays_and_falls() -> None:
    assert rate_factor(0) < rate_factor(0.1) == rate_factor(0.3) == 1
    assert rate_factor(0.5) > rate_factor(0.9) > rate_factor(1) > 0
    assert (stage_at(0), stage_at(0.9)) == ("language", "chat")
    assert Budget(minutes=2).share(0, 60) == pytest.approx(0.5)


def test_a_run_that_goes_on_is_as_the_last_part_of_one() -> None:
    budget = Budget(steps=10, begins_at=LATE)
    assert [budget.share(step, 0) for step in (0, 5, 10, 11)] == pytest.approx([LATE, (1 + LATE) / 2, 1, 1])
    assert is_late(budget.share(0, 0))


def _mixture(tokenizer: PreTrainedTokenizerFast, remembering: float = 0.0) -> Mixture:
    return Mixture(Encoder(tokenizer), Corpus({}, {}), seed=1, tokens=512, pad=0, remembering=remembering)


def _plan() -> Plan:
    return Plan(Budget(steps=6), is_bfloat16=False, report_steps=1, save_s=0.0)


def _silent(entry: dict[str, float | int | str]) -> None:
    assert entry["loss"]
