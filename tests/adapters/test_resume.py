"""A run that was killed or interrupted goes on to exactly where a straight run ends."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from adapters.errors import BadSettings, CannotTrain
from adapters.persona import PersonaCard
from adapters.plan import Options
from adapters.progress import Reporter
from adapters.store import AdapterStore
from adapters.train import Job, train
from adapters.trainer import RowTrainer, StopRequest
from adapters.validate import read_data
from adapters.workspace import Workspace
from chatbot.cli.adapter import app

from .conftest import write_chats

CHATS = [[f"what is {number}?", f"number {number} be fine"] for number in range(40)]


SETTINGS = ("--epochs", "10", "--lr", "0.002", "--rank", "4", "--seed", "3")


UNTIL_STEP = """
import sys
from adapters.progress import Reporter
from chatbot.cli import main

tell = Reporter.step

def tell_and_wait(self, step, steps, **figures):
    tell(self, step, steps, **figures)
    if step == {step}:
        print("waiting", flush=True)
        sys.stdin.read()

Reporter.step = tell_and_wait
main()
"""
"""The program as it is, but for standing still in this step until its stdin is closed."""


def kill_in_step(step: int, tmp_path: Path, base: Path, data: Path, name: str) -> None:
    """Train in a process of its own, and kill it in the middle of this step."""
    words = ["adapter", "train", str(data), "--name", name, "--base", str(base), *SETTINGS, "--out", str(tmp_path)]
    with subprocess.Popen(
        [sys.executable, "-c", UNTIL_STEP.format(step=step), *words],
        env=os.environ | {"CHATBOT_HOME": str(tmp_path / "home")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waiting\n"
        process.kill()
    assert process.returncode == -signal.SIGKILL


def weights(tmp_path: Path, base: Path, data: Path, name: str, *, is_resumed: bool) -> bytes:
    """Train in this process, from the start or from where a run was stopped, and return the weights."""
    options = Options(epochs=10, lr=0.002, rank=4, seed=3)
    store = AdapterStore([tmp_path])
    outcome = train(Job(read_data([data]), base, PersonaCard(name), store, options, is_resumed=is_resumed), Reporter())
    assert outcome.adapter is not None
    assert not (tmp_path / name / ".work").exists()
    return (outcome.adapter.path / "adapter_model.safetensors").read_bytes()


def steps_told(adapter: Path, kind: str) -> list[int]:
    """Return the steps that the events of this kind are about."""
    events = [json.loads(line) for line in (adapter / "events.jsonl").read_text().splitlines()]
    return [event["step"] for event in events if event["event"] == kind]


@pytest.fixture(scope="module")
def straight(base: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The weights of a run that nothing stopped."""
    folder = tmp_path_factory.mktemp("straight")
    return weights(folder, base, write_chats(folder / "toy.jsonl", CHATS), "straight", is_resumed=False)


def test_killed_and_resumed_ends_at_the_same_weights(
    tmp_path: Path, base: Path, capsys: pytest.CaptureFixture[str], straight: bytes
) -> None:
    """The same command goes on, whether or not it is told to."""
    data = write_chats(tmp_path / "toy.jsonl", CHATS)
    kill_in_step(20, tmp_path, base, data, "killed")
    assert AdapterStore([tmp_path]).scan() == []
    newest = Workspace(tmp_path / "killed").newest_complete()
    assert newest is not None
    half_written = newest.with_name("checkpoint-999")
    shutil.copytree(newest, half_written, ignore=shutil.ignore_patterns("trainer_state.json"))

    resumed = weights(tmp_path, base, data, "killed", is_resumed=False)
    told = capsys.readouterr().err
    assert (
        f"note: a checkpoint that is not whole is not gone on from: {newest.with_name('broken-checkpoint-999')}\n"
        in told
    )
    assert f"going on from {newest}" in told
    assert resumed == straight
    assert steps_told(tmp_path / "killed" / "v1", "step") == list(range(1, 31))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_and_resumed_ends_at_the_same_weights(
    tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, straight: bytes
) -> None:
    """The signal comes in the middle of step 24: that step is finished, then a checkpoint is written."""
    data = write_chats(tmp_path / "toy.jsonl", CHATS)
    step = Reporter.step

    def step_and_signal(self: Reporter, at: int, steps: int, *, loss: float, lr: float) -> None:
        step(self, at, steps, loss=loss, lr=lr)
        if at == 23:
            signal.raise_signal(number)

    monkeypatch.setattr(Reporter, "step", step_and_signal)
    words = ["train", data, "--name", "stopped", "--base", base, *SETTINGS, "--out", tmp_path]
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 130
    assert (
        "stopped after step 24 of 30; a checkpoint was written; go on with:\n  chatbot adapter train" in result.stderr
    )
    assert result.stderr.strip().endswith("--resume")
    assert result.stdout == ""
    monkeypatch.undo()

    assert weights(tmp_path, base, data, "stopped", is_resumed=True) == straight


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("adapters.train.probe", "stopped before the first checkpoint: nothing is kept; begin again with:"),
        ("adapters.store.sync_folder", "checkpoint-4 is kept; go on with:"),
    ],
)
def test_what_is_kept_of_a_run_that_could_not_be_stopped_in_order_is_told(
    tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch, where: str, said: str
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(where, interrupt)
    data = write_chats(tmp_path / "toy.jsonl", CHATS)
    words = ["train", data, "--name", "stopped", "--base", base, *SETTINGS, "--steps", "4", "--out", tmp_path]
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 130
    *_, told, command = result.stderr.splitlines()
    assert told.endswith(said)
    assert command.startswith(f"  chatbot adapter train {data}")
    assert "--resume" not in command


def test_a_disk_without_room_for_a_checkpoint_is_told_with_what_is_kept(
    tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = torch.save

    def once(*given: object, **named: object) -> None:
        save(*given, **named)  # type: ignore[arg-type]
        if "checkpoint-2" in str(given[1]):
            raise RuntimeError("unexpected pos 64 vs 0")  # what torch says of a full disk

    monkeypatch.setattr(torch, "save", once)
    data = write_chats(tmp_path / "toy.jsonl", CHATS)
    words = ["train", data, "--name", "full", "--base", base, *SETTINGS, "--steps", "4", "--out", tmp_path]
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 1
    *_, told, kept, command = result.stderr.splitlines()
    assert told.endswith("could not be written, perhaps for lack of room: unexpected pos 64 vs 0")
    assert kept.endswith("checkpoint-1 is kept; go on with:")
    assert command.startswith(f"  chatbot adapter train {data}")


def test_a_step_for_which_memory_does_not_suffice_is_told_with_what_is_kept(
    tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loss = RowTrainer.compute_loss

    def too_much(self: RowTrainer, *given: object, **named: object) -> torch.Tensor:
        if self.state.global_step == 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return loss(self, *given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(RowTrainer, "compute_loss", too_much)
    data = write_chats(tmp_path / "toy.jsonl", CHATS[:3])
    words = ["train", data, "--name", "full", "--base", base, *SETTINGS, "--steps", "2", "--out", tmp_path]
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 1
    *_, told, kept, command = result.stderr.splitlines()
    assert told.startswith("memory did not suffice (free some, or give a smaller --max-length or --rank): CUDA")
    assert kept.endswith("checkpoint-1 is kept; go on with:")
    assert Workspace(tmp_path / "full").way_on() == f"go on by: {command.strip()}"


def test_a_run_killed_after_it_stopped_early_ends_with_its_best_state(
    tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The chat held out is unlike the others, so that learning them soon stops helping it."""
    monkeypatch.setattr("adapters.plan.PATIENCE", 1)
    data = read_data([write_chats(tmp_path / "toy.jsonl", CHATS)])
    unlike = read_data([write_chats(tmp_path / "unlike.jsonl", [["WHY?", "ZZZ QQQ XXX KKK JJJ"]])])

    def publish(name: str, *, is_resumed: bool = False) -> Path:
        store, options = AdapterStore([tmp_path]), Options(epochs=10, lr=1.0, rank=4, seed=3)
        job = Job(data, base, PersonaCard(name), store, options, validation=unlike, is_resumed=is_resumed)
        adapter = train(job, Reporter()).adapter
        assert adapter is not None
        return adapter.path

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    straight = publish("straight")
    assert re.search(r"^ends after step \d+ of \d+: .* without a better one$", capsys.readouterr().err, re.MULTILINE)
    with monkeypatch.context() as before_publishing:
        before_publishing.setattr(AdapterStore, "publish", die)
        with pytest.raises(KeyboardInterrupt):
            publish("killed")
    resumed = publish("killed", is_resumed=True)
    assert max(steps_told(straight, "step")) < 30
    for kind in ("step", "validation"):
        assert steps_told(resumed, kind) == steps_told(straight, kind)
    states = [(path / "adapter_model.safetensors").read_bytes() for path in (resumed, straight)]
    assert states[0] == states[1]


LONG_CHATS = [[f"what is {number}?", "la " * 60] for number in range(5)]


@pytest.mark.parametrize("chats", [LONG_CHATS, CHATS])
def test_a_run_killed_after_its_last_step_trains_no_more(
    tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch, chats: list[list[str]]
) -> None:
    """Of five chats none is held out, so that nothing says which step is the best."""
    data = read_data([write_chats(tmp_path / "toy.jsonl", chats)])

    def publish(name: str) -> Path:
        adapter = train(
            Job(data, base, PersonaCard(name), AdapterStore([tmp_path]), Options(steps=1, lr=0.01, rank=4)),
            Reporter(),
        ).adapter
        assert adapter is not None
        return adapter.path

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    straight = publish("straight")
    with monkeypatch.context() as before_publishing:
        before_publishing.setattr(AdapterStore, "publish", die)
        with pytest.raises(KeyboardInterrupt):
            publish("killed")
    resumed = publish("killed")
    assert steps_told(resumed, "step") == [1]
    assert (resumed / "adapter_model.safetensors").read_bytes() == (straight / "adapter_model.safetensors").read_bytes()


IN_PUBLISHING = """
import os, signal, sys
from adapters import train

def killed(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

train.render_card = killed
from chatbot.cli import main
main()
"""
"""The program as it is, but killed when a persona's files are half-written."""


def test_what_a_run_left_that_was_killed_while_it_published_is_swept_by_the_next(tmp_path: Path, base: Path) -> None:
    data = write_chats(tmp_path / "a.jsonl", CHATS[:3])
    words = ["adapter", "train", str(data), "--name", "p", "--base", str(base), "--steps", "1", "--out", str(tmp_path)]
    environment = os.environ | {"CHATBOT_HOME": str(tmp_path / "home")}
    ended = subprocess.run([sys.executable, "-c", IN_PUBLISHING, *words], env=environment, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert list((tmp_path / "p").glob(".v1.*.tmp"))
    assert CliRunner().invoke(app, words[1:]).exit_code == 0
    assert [path.name for path in (tmp_path / "p").iterdir()] == ["v1"]


def test_a_run_is_not_resumed_with_other_data_or_settings(tmp_path: Path) -> None:
    work = Workspace(tmp_path)
    with pytest.raises(CannotTrain, match="no interrupted run to resume"):
        work.resume({"data": 1})
    work.begin({"data": 1, "settings": {"lr": 0.1}}, "")
    assert work.resume({"data": 1, "settings": {"lr": 0.1}}) is None
    with pytest.raises(CannotTrain, match=r"had other data \(1, now 2\), lr \(0\.1, now 0\.2\) \(restore"):
        work.resume({"data": 2, "settings": {"lr": 0.2}})


def stop_at_step_9(home: Path, job: dict[str, object]) -> Path:
    """Leave what a run leaves that was stopped, and return its checkpoint."""
    work = Workspace(home)
    work.begin(job, "chatbot adapter train a.jsonl")
    checkpoint = work.checkpoints / "checkpoint-9"
    checkpoint.mkdir()
    (checkpoint / "trainer_state.json").write_text("{}")
    return checkpoint


def test_a_run_about_something_else_does_not_throw_a_stopped_one_away(tmp_path: Path) -> None:
    work = Workspace(tmp_path / "corsair")
    assert work.stopped_at({"data": 1}) is None
    checkpoint = stop_at_step_9(tmp_path / "corsair", {"data": 1})
    assert work.stopped_at({"data": 1}) == checkpoint
    with pytest.raises(
        BadSettings, match=r"stopped at step 9 and had other data .* \(go on by: chatbot .*, or give --r"
    ):
        work.stopped_at({"data": 2})
    (work.folder / "job.json").write_text("{")
    with pytest.raises(BadSettings, match="had other data"):
        work.stopped_at({"data": 1})
    assert checkpoint.exists()


def test_a_stopped_run_is_thrown_away_by_restart_alone_and_not_if_the_new_one_cannot_begin(
    tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise CannotTrain("does not fit into memory")

    checkpoint = stop_at_step_9(tmp_path / "corsair", {"data": 1})
    data = write_chats(tmp_path / "toy.jsonl", CHATS[:3])
    words = ("train", data, "--name", "corsair", "--base", base, "--steps", "1", "--out", tmp_path)

    def exit_code(*more: str) -> int:
        return CliRunner().invoke(app, [str(word) for word in (*words, *more)]).exit_code

    assert exit_code() == exit_code("--resume", "--restart") == 2
    with monkeypatch.context() as without_memory:
        without_memory.setattr("adapters.train.probe", fails)
        assert exit_code("--restart") == 1
    assert checkpoint.exists()
    assert exit_code("--restart") == 0
    assert [path.name for path in (tmp_path / "corsair").iterdir()] == ["v1"]


def test_the_newest_checkpoint_that_was_written_to_its_end_is_taken(tmp_path: Path) -> None:
    work = Workspace(tmp_path)
    work.begin({}, "")
    for name, state in (
        ("checkpoint-9", "{}"),
        ("checkpoint-10", "{}"),
        ("checkpoint-11", "{"),
        ("checkpoint-x", "{}"),
    ):
        (work.checkpoints / name).mkdir()
        (work.checkpoints / name / "trainer_state.json").write_text(state)
    (work.checkpoints / "checkpoint-12").mkdir()
    newest = work.newest_complete()
    assert newest is not None
    assert newest.name == "checkpoint-10"
    assert json.loads((newest / "trainer_state.json").read_text()) == {}
    with zipfile.ZipFile(newest / "optimizer.pt", "w") as optimizer:
        optimizer.writestr("state", "1")
    assert work.newest_complete() == newest
    work.set_aside_broken()
    (work.checkpoints / "checkpoint-12").mkdir()
    assert [path.name for path in sorted(work.set_aside_broken())] == ["broken-checkpoint-12"]


@pytest.mark.parametrize("file", ["optimizer.pt", "adapter_model.safetensors", "rng_state.pth", "adapter_config.json"])
def test_a_checkpoint_with_a_file_that_is_cut_off_gives_way_to_the_one_before(tmp_path: Path, file: str) -> None:
    before = stop_at_step_9(tmp_path, {"data": 1})
    broken = before.with_name("checkpoint-10")
    shutil.copytree(before, broken)
    (broken / file).touch()
    work = Workspace(tmp_path)
    assert work.stopped_at({"data": 1}) == work.resume({"data": 1}) == before
    work.set_aside_broken()
    assert sorted(path.name for path in work.checkpoints.iterdir()) == ["broken-checkpoint-10", "checkpoint-9"]


def test_a_request_to_stop_says_so_at_once_and_a_second_stops(capfd: pytest.CaptureFixture[str]) -> None:
    stop = StopRequest()
    with stop.listening(), pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
        assert capfd.readouterr().err.strip() == "stopping after this step, with a checkpoint; once more stops at once"
        signal.raise_signal(signal.SIGINT)


def test_a_terminal_that_hung_up_asks_to_stop_and_what_is_said_later_does_not_fail() -> None:
    kept, (reader, writer), stop = os.dup(2), os.pipe(), StopRequest()
    os.close(reader)
    os.dup2(writer, 2)
    try:
        with stop.listening():
            signal.raise_signal(signal.SIGHUP)
        assert stop.is_asked
        assert os.write(2, b"said later") == 10
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(writer)


def test_a_hang_up_that_the_program_was_started_to_ignore_stops_nothing() -> None:
    before, stop = signal.signal(signal.SIGHUP, signal.SIG_IGN), StopRequest()
    try:
        with stop.listening():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert not stop.is_asked
