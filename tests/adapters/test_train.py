"""The whole way from a file to a published adapter, on a tiny model."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors import safe_open
from transformers import AutoModelForCausalLM

from adapters.adapted import base_facts, save_adapter
from adapters.card import Measured
from adapters.chats import with_system
from adapters.errors import CannotLoad, CannotTrain
from adapters.labels import Labeller
from adapters.loss import mean_nll
from adapters.packing import packed_in_order
from adapters.persona import PersonaCard
from adapters.plan import Options
from adapters.progress import Reporter
from adapters.published import CARD_FILE
from adapters.start import read_start
from adapters.store import AdapterStore
from adapters.train import Job, train
from adapters.validate import ChatData, read_data
from adapters.workspace import only_run
from chatbot.engine.adapter_files import read_adapter
from chatbot.engine.digest import ADAPTER_CONFIG, ADAPTER_WEIGHTS, model_digest
from tests.tiny import make_tiny_adapter, make_tiny_model

from .conftest import MARKED_TEMPLATE, write_chats

TOY = [[f"what is {word}?", f"{word} be a fine thing, arr"] for word in "abcdefghijklmnopqrst"]
QUICK = Options(epochs=2, lr=1e-3, rank=4)


def job(tmp_path: Path, base: Path, **changes: object) -> Job:
    data = read_data([write_chats(tmp_path / "toy.jsonl", TOY)])
    store = AdapterStore([tmp_path / "adapters"])
    made = Job(data, base, PersonaCard("toy", "a toy", "be a toy"), store, QUICK, command="chatbot adapter train")
    return replace(made, **changes)  # type: ignore[arg-type]


def unlike_toy(tmp_path: Path) -> ChatData:
    return read_data([write_chats(tmp_path / "other.jsonl", [[f"WHY {word}?", "ZZZ QQQ XXX"] for word in "ABCDEFGH"])])


def perplexity_of(measured: Measured | None) -> float:
    assert measured is not None
    assert measured.perplexity is not None
    return measured.perplexity


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # peft 0.21 on transformers 5.23
def test_a_toy_persona_is_learned_to_the_letter(tmp_path: Path, base: Path) -> None:
    toy = read_data([write_chats(tmp_path / "toy.jsonl", TOY)])
    outcome = train(job(tmp_path, base, options=Options(epochs=60, lr=1e-2), validation=toy), Reporter())
    assert outcome.adapter is not None
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), outcome.adapter.path)
    learned = Labeller(base).label_all([with_system(row, "be a toy") for row in toy.rows], 512)
    _, accuracy = mean_nll(model, packed_in_order(learned.examples, 512))
    assert accuracy > 0.95


def test_what_is_published_is_complete_and_the_engine_takes_it(tmp_path: Path, base: Path) -> None:
    outcome = train(job(tmp_path, base), Reporter())
    adapter = outcome.adapter
    assert adapter is not None
    assert sorted(path.name for path in adapter.path.iterdir()) == [
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
        "base.json",
        "events.jsonl",
        "persona.toml",
    ]
    assert [path.name for path in adapter.path.parent.iterdir()] == ["v1"]
    model = AutoModelForCausalLM.from_pretrained(base)
    linears = {
        name: (module.in_features, module.out_features)
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear)
    }
    loaded = read_adapter(
        adapter.path, linears, base_digest=model_digest(base), dtype=torch.float32, device=torch.device("cpu")
    )
    assert loaded.digest == adapter.digest
    assert set(loaded.pairs) == set(linears) - {"lm_head"}
    assert (adapter.base_digest, adapter.system) == (model_digest(base), "be a toy")


def test_held_out_chats_are_measured_before_and_after_and_told(tmp_path: Path, base: Path) -> None:
    outcome = train(job(tmp_path, base), Reporter())
    assert outcome.adapter is not None
    assert outcome.before is not None
    assert outcome.after is not None
    assert outcome.before.perplexity is not None
    assert outcome.after.perplexity is not None
    assert outcome.after.perplexity < outcome.before.perplexity
    card = (outcome.adapter.path / "README.md").read_text()
    for said in ("# toy v1", "be a toy", model_digest(base), "Validation perplexity", "## Samples", "torch 2."):
        assert said in card
    assert str(tmp_path) not in (outcome.adapter.path / "adapter_config.json").read_text()
    events = [json.loads(line) for line in (outcome.adapter.path / "events.jsonl").read_text().splitlines()]
    kinds = [event["event"] for event in events]
    assert kinds[:4] == ["data", "plan", "before", "training"]
    assert kinds[-1] == "after"
    assert {"step", "validation"} <= set(kinds)
    assert events[0]["chats"] == 18
    assert events[0]["held_out"] == 2


def test_the_same_seed_gives_the_same_adapter_and_another_seed_another(tmp_path: Path, base: Path) -> None:
    options = [QUICK, QUICK, replace(QUICK, seed=1)]
    outcomes = [train(job(tmp_path, base, options=chosen), Reporter()) for chosen in options]
    digests = [outcome.adapter.digest for outcome in outcomes if outcome.adapter is not None]
    assert [outcome.adapter.version for outcome in outcomes if outcome.adapter is not None] == [1, 2, 3]
    assert digests[0] == digests[1]
    assert digests[0] != digests[2]


def test_the_first_step_already_learns(tmp_path: Path, base: Path) -> None:
    outcome = train(job(tmp_path, base, options=replace(QUICK, steps=1)), Reporter())
    assert outcome.before is not None
    assert outcome.after is not None
    assert outcome.after.perplexity != outcome.before.perplexity


def test_too_few_rows_to_hold_any_out_still_train(tmp_path: Path, base: Path) -> None:
    few = read_data([write_chats(tmp_path / "few.jsonl", TOY[:3])])
    outcome = train(job(tmp_path, base, data=few), Reporter())
    assert outcome.adapter is not None
    assert outcome.after is not None
    assert outcome.after.perplexity is None


def test_a_dry_run_measures_and_writes_nothing(tmp_path: Path, base: Path) -> None:
    outcome = train(job(tmp_path, base, is_dry_run=True), Reporter())
    assert outcome.adapter is None
    assert outcome.probe.step_s > 0
    assert outcome.probe.peak_bytes > 0
    assert not (tmp_path / "adapters" / "toy").exists()


def test_a_dry_run_leaves_a_run_alone_that_was_interrupted_or_goes_on(tmp_path: Path, base: Path) -> None:
    work = tmp_path / "adapters" / "toy" / ".work"
    work.mkdir(parents=True)
    (work / "job.json").write_text("{}")
    with only_run(work.parent):
        train(job(tmp_path, base, is_dry_run=True), Reporter())
    assert (work / "job.json").exists()


def test_two_runs_of_one_persona_do_not_meet(tmp_path: Path, base: Path) -> None:
    with only_run(tmp_path / "adapters" / "toy"), pytest.raises(CannotTrain, match="another run trains this persona"):
        train(job(tmp_path, base), Reporter())


def test_bad_bases_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(CannotTrain, match="no model there"):
        train(job(tmp_path, tmp_path), Reporter())
    assert not (tmp_path / "adapters" / "toy").exists()


def test_a_base_of_which_no_adapter_could_be_served_is_told(tmp_path: Path) -> None:
    base = make_tiny_model(tmp_path / "base", architecture="gpt2", template=MARKED_TEMPLATE)
    assert base_facts(base).hidden == 32
    with pytest.raises(CannotTrain, match=r"the layers of GPT2LMHeadModel are no torch\.nn\.Linear"):
        train(job(tmp_path, base), Reporter())


def test_what_a_config_says_of_its_base_is_found_by_any_of_its_names(tmp_path: Path) -> None:
    def facts(**config: object) -> tuple[int, int]:
        (tmp_path / "config.json").write_text(json.dumps(config))
        found = base_facts(tmp_path)
        return found.hidden, found.context_tokens

    assert facts(n_embd=8, n_positions=64, text_config=None) == (8, 64)
    assert facts(hidden_size=9, text_config={"hidden_size": 8, "max_position_embeddings": 64}) == (8, 64)
    with pytest.raises(CannotTrain, match="the model's context is missing"):
        facts(hidden_size=8)
    with pytest.raises(CannotTrain, match="no config of a causal LM with one of hidden_size"):
        facts(n_positions=64)


def test_a_base_that_is_cut_off_or_needs_a_package_is_told(tmp_path: Path) -> None:
    base = make_tiny_model(tmp_path / "base", template=MARKED_TEMPLATE)
    config, weights = base / "config.json", base / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:3000])
    with pytest.raises(CannotLoad, match="base: the model cannot be loaded: "):
        train(job(tmp_path, base), Reporter())
    weights.write_bytes(whole)
    quantised = {"quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": 128}}
    config.write_text(json.dumps(json.loads(config.read_text()) | quantised))
    with pytest.raises(CannotLoad, match="base: the model cannot be loaded: "):
        train(job(tmp_path, base), Reporter())


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # peft 0.21 on transformers 5.23
@pytest.mark.parametrize(
    ("said", "kept"),
    [("auto", "F32"), ("float64", "F32"), ("float8_e4m3fn", "F32"), (None, "F32"), ("bfloat16", "BF16")],
)
def test_an_adapter_is_stored_as_its_base_where_the_engine_takes_that(
    tmp_path: Path, base: Path, said: str | None, kept: str
) -> None:
    copy = Path(shutil.copytree(base, tmp_path / "base"))
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"dtype": said}))
    adapter = make_tiny_adapter(base, tmp_path / "adapter", seed=1)
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), adapter)
    save_adapter(model, tmp_path, base_facts(copy))
    with safe_open(tmp_path / ADAPTER_WEIGHTS, framework="pt") as file:
        assert {file.get_slice(name).get_dtype() for name in file.keys()} == {kept}  # noqa: SIM118


@pytest.mark.parametrize(
    ("dtype", "steps", "lr", "said"),
    [
        (torch.float32, 8, 1e30, r"the loss is nan in step 2: .* \(give a lower --lr than 1e\+30\)"),
        (torch.float16, 1, 1e6, "the weights grew too large for float16"),
    ],
)
def test_a_run_that_came_apart_publishes_nothing(
    tmp_path: Path, dtype: torch.dtype, steps: int, lr: float, said: str
) -> None:
    base = make_tiny_model(tmp_path / "base", template=MARKED_TEMPLATE, dtype=dtype)
    few = read_data([write_chats(tmp_path / "few.jsonl", [["who are you?", "a pirate"], ["where?", "at sea"]])])
    with pytest.raises(CannotTrain, match=said):
        train(job(tmp_path, base, data=few, options=Options(steps=steps, lr=lr, rank=4)), Reporter())
    assert AdapterStore([tmp_path / "adapters"]).scan() == []


def test_a_run_goes_on_from_a_persona_where_that_one_ended(tmp_path: Path, base: Path) -> None:
    first = train(job(tmp_path, base), Reporter())
    assert first.adapter is not None
    start = read_start(first.adapter.path, "toy@v1")
    second = train(job(tmp_path, base, start=start, options=Options(epochs=2, steps=2, lr=1e-3)), Reporter())
    assert second.adapter is not None
    assert second.before == first.after
    assert (second.plan.rank, second.plan.steps) == (QUICK.rank, 2)
    assert second.adapter.digest != first.adapter.digest
    started = f"It went on from toy@v1 (digest `{first.adapter.digest}`), which is needed to train it again"
    assert started in (second.adapter.path / CARD_FILE).read_text()


def test_a_run_that_only_makes_it_worse_keeps_what_it_went_on_from(tmp_path: Path, base: Path) -> None:
    first = train(job(tmp_path, base, options=Options(epochs=8, lr=1e-2, rank=4)), Reporter())
    assert first.adapter is not None
    other = unlike_toy(tmp_path)
    toy, start = read_data([tmp_path / "toy.jsonl"]), read_start(first.adapter.path, "toy@v1")
    worse = job(tmp_path, base, data=other, validation=toy, start=start, options=Options(epochs=4, lr=1.0))
    second = train(worse, Reporter())
    assert second.adapter is not None
    assert second.best_step == 0
    assert second.after == second.before
    weights = [(made.path / ADAPTER_WEIGHTS).read_bytes() for made in (first.adapter, second.adapter)]
    assert weights[0] == weights[1]
    card = (second.adapter.path / CARD_FILE).read_text()
    assert "no step was better than what it went on from, which is kept" in card


@pytest.mark.parametrize("rank", [2, 6])
def test_a_run_goes_on_at_another_rank(tmp_path: Path, base: Path, rank: int) -> None:
    first = train(job(tmp_path, base, options=Options(epochs=20, lr=1e-2, rank=4)), Reporter())
    assert first.adapter is not None
    assert first.before is not None
    start = read_start(first.adapter.path, "toy@v1")
    second = train(job(tmp_path, base, start=start, options=Options(steps=1, lr=1e-6, rank=rank)), Reporter())
    assert second.adapter is not None
    assert json.loads((second.adapter.path / ADAPTER_CONFIG).read_text())["r"] == rank
    lost = perplexity_of(second.before) - perplexity_of(first.after)
    learned = perplexity_of(first.before) - perplexity_of(first.after)
    assert abs(lost) < (1e-3 if rank > 4 else learned / 2)


def test_a_run_at_another_rank_that_only_makes_it_worse_keeps_the_nearest_of_that_rank(
    tmp_path: Path, base: Path
) -> None:
    first = train(job(tmp_path, base, options=Options(epochs=8, lr=1e-2, rank=4)), Reporter())
    assert first.adapter is not None
    other = unlike_toy(tmp_path)
    toy, start = read_data([tmp_path / "toy.jsonl"]), read_start(first.adapter.path, "toy@v1")
    options = Options(epochs=4, lr=1.0, rank=2)
    second = train(job(tmp_path, base, data=other, validation=toy, start=start, options=options), Reporter())
    assert second.adapter is not None
    assert (second.best_step, second.plan.rank) == (0, 2)
    assert second.after == second.before


def test_a_persona_is_taken_to_another_base_of_the_same_sizes_only(tmp_path: Path, base: Path) -> None:
    first = train(job(tmp_path, base), Reporter())
    assert first.adapter is not None
    start = read_start(first.adapter.path, "toy@v1")
    twin = make_tiny_model(tmp_path / "twin", template=MARKED_TEMPLATE, seed=1)
    moved = train(job(tmp_path, twin, start=start), Reporter()).adapter
    assert moved is not None
    assert moved.base_digest == model_digest(twin) != first.adapter.base_digest
    wide = make_tiny_model(tmp_path / "wide", template=MARKED_TEMPLATE, hidden_size=64)
    with pytest.raises(CannotTrain, match="--from toy@v1 does not fit the base"):
        train(job(tmp_path, wide, start=start), Reporter())


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda config, weights: ({**config, "use_dora": True}, weights), "use_dora = True is not supported"),
        (lambda config, weights: ({**config, "modules_to_save": ["lm_head"]}, weights), "modules_to_save"),
        (lambda config, weights: (config, weights[:-9]), "not a safetensors file"),
        (lambda config, weights: (config, weights.replace(b".q_proj.", b".x_proj.")), "x_proj"),
    ],
)
def test_only_an_adapter_that_can_be_served_is_gone_on_from(
    tmp_path: Path, base: Path, spoil: Callable[[dict[str, object], bytes], tuple[dict[str, object], bytes]], said: str
) -> None:
    first = train(job(tmp_path, base), Reporter()).adapter
    assert first is not None
    spoilt = tmp_path / "spoilt"
    spoilt.mkdir()
    config, weights = spoil(
        json.loads((first.path / ADAPTER_CONFIG).read_text()), (first.path / ADAPTER_WEIGHTS).read_bytes()
    )
    (spoilt / ADAPTER_CONFIG).write_text(json.dumps(config))
    (spoilt / ADAPTER_WEIGHTS).write_bytes(weights)
    with pytest.raises(CannotTrain, match=said):
        train(job(tmp_path, base, start=read_start(spoilt, "spoilt")), Reporter())
