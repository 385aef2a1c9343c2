"""transformers.Trainer with our data, our loss and our way to stop; stepping, schedule and checkpoints are its own."""

import errno
import math
import os
import signal
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from peft import set_peft_model_state_dict
from safetensors import SafetensorError
from torch.utils.data import SequentialSampler
from transformers import Trainer, TrainerCallback, TrainingArguments
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_callback import PrinterCallback, TrainerState
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from adapters.counted import counted
from adapters.errors import CannotTrain, TrainingInterrupted
from adapters.loss import label_nll, mean_nll, row_tensors
from adapters.packing import PackedRow, end_to_end
from adapters.plan import PATIENCE, Plan, is_done_improving
from adapters.progress import Reporter
from adapters.start import Begun
from adapters.synced import sync_folder

ASKING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
STOPPING = b"\nstopping after this step, with a checkpoint; once more stops at once\n"


def train_adapter(
    model: Any,  # peft is untyped
    plan: Plan,
    rows: Sequence[PackedRow],
    held_out: Sequence[PackedRow],
    *,
    rows_at_once: int,
    begun: Begun | None,
    checkpoints: Path,
    resume_from: Path | None,
    report: Reporter,
) -> int:
    """Train the model's adapter, leave its best state in it, and return the step that state is from.

    It is 0 for the one that was `begun` with. Raises TrainingInterrupted after a checkpoint, if SIGINT, SIGTERM or
    SIGHUP asked for it, and CannotTrain if the loss is no longer a number.
    """
    if resume_from and (state := _of_a_run_that_ended(resume_from, plan)):
        best = resume_from.with_name(f"{PREFIX_CHECKPOINT_DIR}-{state.best_global_step or state.global_step}")
        model.load_adapter(str(best), model.active_adapter)
        return _best_step(model, state, begun)
    stop = StopRequest()
    trainer = RowTrainer(
        report,
        model=model,
        args=_arguments(plan, checkpoints, rows_at_once=rows_at_once, has_validation=bool(held_out)),
        train_dataset=rows,
        eval_dataset=held_out or None,
        data_collator=_one_row,
        callbacks=[Watch(report, stop, begun)],
    )
    trainer.remove_callback(PrinterCallback)
    done = _step(resume_from) if resume_from else 0
    with stop.listening(), report.training(plan.steps, done=done), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Trainer's and peft's own deprecations are not the user's
        trainer.train(resume_from_checkpoint=str(resume_from) if resume_from else None)
    is_whole = trainer.state.global_step >= plan.steps or is_done_improving(_losses(trainer.state))
    if stop.is_asked and not is_whole:
        raise TrainingInterrupted(trainer.state.global_step, plan.steps)
    return _best_step(model, trainer.state, begun)


class RowTrainer(Trainer):  # type: ignore[misc]  # transformers is untyped
    """Loss at labelled positions only, summed over the step's rows and divided by all their labels."""

    def __init__(self, reporter: Reporter, **settings: Any) -> None:
        super().__init__(**settings)
        self._reporter = reporter
        self.control: Any
        self.model_accepts_loss_kwargs = True  # count the labels of all rows of a step

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> torch.Tensor:
        assert not return_outputs
        nll, _ = label_nll(model, inputs)
        loss: torch.Tensor = nll / num_items_in_batch
        return loss

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Return the mean loss per label over all held-out rows (Trainer's own is a mean over batches)."""
        rows = self.eval_dataset
        with self._reporter.counting("measuring", len(rows)) as on_row:
            loss, _right = mean_nll(self.model, rows, self.args.device, on_row)
        metrics = {"eval_loss": loss}
        self.log(dict(metrics))
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Write a checkpoint. Raises OSError, whichever way a library says that the disk has no room for it."""
        try:
            super()._save_checkpoint(model, trial)
            sync_folder(Path(self.args.output_dir))
        except (RuntimeError, SafetensorError) as error:
            said = f"a checkpoint could not be written, perhaps for lack of room: {error}"
            raise OSError(errno.EIO, said, self.args.output_dir) from error

    def _get_train_sampler(self, train_dataset: Any = None) -> SequentialSampler:
        return SequentialSampler(train_dataset or self.train_dataset)


class StopRequest:
    """Notes that a signal of `ASKING` came; a second one interrupts at once."""

    def __init__(self) -> None:
        self.is_asked = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        is_deaf = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN  # to its terminal, as by nohup
        heard = [number for number in ASKING if number != signal.SIGHUP or not is_deaf]
        before = {number: signal.signal(number, self._ask) for number in heard}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _ask(self, _number: int, _frame: FrameType | None) -> None:
        if self.is_asked:
            raise KeyboardInterrupt
        self.is_asked = True
        try:
            os.write(2, STOPPING)  # on stderr; a print could be in the middle of another one
        except OSError:  # who read it is gone, as a terminal that hung up, and what is said later must not fail
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


class Watch(TrainerCallback):  # type: ignore[misc]  # transformers is untyped
    """Reports each step, ends the run when it no longer improves, and obeys a request to stop."""

    def __init__(self, report: Reporter, stop: StopRequest, begun: Begun | None) -> None:
        self._report = report
        self._stop = stop
        self._begun = begun

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step >= state.max_steps and args.eval_strategy != "no":
            control.should_evaluate = control.should_save = True
        if self._stop.is_asked:
            control.should_save = control.should_training_stop = True

    def on_log(self, args: Any, state: Any, _control: Any, logs: Any = None, **_: Any) -> None:
        if logs and "loss" in logs:
            if not math.isfinite(logs["loss"]):
                raise CannotTrain(
                    f"the loss is {logs['loss']} in step {state.global_step}: training came apart, and nothing was "
                    f"published (give a lower --lr than {args.learning_rate:g})"
                )
            self._report.step(state.global_step, state.max_steps, loss=logs["loss"], lr=logs["learning_rate"])

    def on_evaluate(self, _args: Any, state: Any, control: Any, metrics: Any = None, **_: Any) -> None:
        losses = _losses(state)
        is_best = metrics["eval_loss"] <= min([*losses, *([self._begun.loss] if self._begun else [])])
        self._report.validated(state.global_step, loss=metrics["eval_loss"], is_best=is_best)
        if is_done_improving(losses) and state.global_step < state.max_steps:
            control.should_training_stop = True
            said = f"{counted(PATIENCE, 'measurement')} in a row without a better one"
            self._report.say(f"ends after step {state.global_step} of {state.max_steps}: {said}")


def _losses(state: Any) -> list[float]:
    """Return the loss of every evaluation so far.

    What a run goes on from is not among them: other data or a high rate first make it worse, which takes a while to win
    back, and says nothing about whether the run still improves.
    """
    return [entry["eval_loss"] for entry in state.log_history if "eval_loss" in entry]


def _of_a_run_that_ended(newest: Path, plan: Plan) -> Any:
    """Return Trainer's state if this checkpoint is the run's last: all steps are done, or it no longer improved."""
    state = TrainerState.load_from_json(str(newest / TRAINER_STATE_NAME))
    return state if state.global_step >= plan.steps or is_done_improving(_losses(state)) else None


def _best_step(model: Any, state: Any, begun: Begun | None) -> int:
    """Return which step's state is the best: Trainer's, which the model holds, or 0 for what was begun with.

    That one is put back into the model.
    """
    if begun and begun.loss <= state.best_metric:
        set_peft_model_state_dict(model, begun.weights)
        return 0
    return int(state.best_global_step or state.global_step)


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])


def _one_row(rows: Sequence[PackedRow]) -> dict[str, torch.Tensor]:
    return row_tensors(end_to_end(rows))


def _arguments(plan: Plan, checkpoints: Path, *, rows_at_once: int, has_validation: bool) -> TrainingArguments:
    arguments = TrainingArguments(
        output_dir=str(checkpoints),
        per_device_train_batch_size=rows_at_once,
        gradient_accumulation_steps=plan.rows_a_step // rows_at_once,
        max_steps=plan.steps,
        learning_rate=plan.lr,
        lr_scheduler_type="cosine_warmup_with_min_lr",  # unlike the others' warm-up, its first step learns too
        lr_scheduler_kwargs={"min_lr_rate": 0.1},
        warmup_steps=plan.warmup_steps,
        optim="adamw_torch",
        weight_decay=0.0,
        max_grad_norm=1.0,
        logging_steps=1,
        logging_nan_inf_filter=False,  # else a loss that is not a number would be told as none
        eval_strategy="steps" if has_validation else "no",
        eval_steps=plan.evaluate_every,
        save_strategy="steps",
        save_steps=plan.evaluate_every,
        save_total_limit=2,
        load_best_model_at_end=has_validation,
        metric_for_best_model="eval_loss" if has_validation else None,
        greater_is_better=False if has_validation else None,
        bf16=torch.cuda.is_available(),
        use_cpu=not torch.cuda.is_available(),
        seed=plan.seed,
        report_to=[],
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=False,
        log_level="error",
    )
    if torch.cuda.is_available():
        arguments._n_gpu = 1  # a batch is one long row: nothing to split over GPUs
    return arguments
