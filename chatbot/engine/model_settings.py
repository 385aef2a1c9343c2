"""What an engine is told about its model and its limits, and what that comes to on this machine."""

import time
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import TypedDict

import torch

from chatbot.engine.base import BaseModel
from chatbot.engine.formats import MatmulPrecision
from chatbot.engine.heartbeat import Clock
from chatbot.engine.machine import cores

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class Options(TypedDict, total=False):
    """The fields of ModelSettings that need not be given, for functions that pass them on."""

    name: str | None
    base: BaseModel | None
    device: str
    dtype: str
    slots: int
    context_tokens: int | None
    threads: int | None
    max_waiting: int
    prefill_s: float
    prefill_tokens: int
    stuck_after_s: float
    clock: Clock
    speculative: bool
    matmul_precision: MatmulPrecision
    compiled: bool
    compiled_dir: Path | None
    kv_host_mib: int
    kv_disk_mib: int
    kv_dir: Path | None
    ignore_end: bool


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """One model and its limits."""

    model: str | Path
    """A directory or a hub name."""
    _: KW_ONLY
    name: str | None = None
    """What the model is called; by default as its directory or as on the hub."""
    base: BaseModel | None = None
    """What `checkpoint.describe` says of the model, where that is known already."""
    device: str = "auto"
    """With "auto", CUDA where there is one."""
    dtype: str = "auto"
    """With "auto", bfloat16 on CUDA and float32 on a CPU."""
    slots: int = 32
    """Conversations whose KV is kept, which is also how many run at once; fewer if memory is short."""
    context_tokens: int | None = None
    """At most what the model can see; by default that, but no more than 8192."""
    threads: int | None = None
    """By default one less than the cores, so that the event loop has one to itself."""
    max_waiting: int = 64
    """Generations that may wait for a slot before EngineBusy."""
    prefill_s: float = 0.05
    """Longest time that a step spends on prompts while replies are being streamed."""
    prefill_tokens: int = 2048
    """Most prompt tokens in a step, however fast they are; bounds the memory that a step takes."""
    stuck_after_s: float = 60.0
    """A step that takes longer is taken for stuck, and the computing thread is replaced."""
    clock: Clock = time.monotonic
    """What the steps are timed with for that."""
    speculative: bool = True
    """Text that may repeat what was said is drafted and verified, where that is measured to be faster."""
    matmul_precision: MatmulPrecision = "highest"
    """With "medium", what goes into large products is rounded to bfloat16 where a CPU is faster so."""
    compiled: bool = True
    """Steps are computed by code that this machine's C compiler makes, on a CPU and if there is one."""
    compiled_dir: Path | None = None
    """Keeps that code; without one it is compiled anew, in about a second, by each process."""
    kv_host_mib: int = 512
    """Memory for the KV of conversations that have no slot at the moment."""
    kv_disk_mib: int = 1024
    """Space in `kv_dir` for what has no room in memory, and for everything between two runs."""
    kv_dir: Path | None = None
    """Without one, no KV is written to disk."""
    ignore_end: bool = False
    """Every reply goes on to its max_tokens; for benchmarks."""

    @property
    def shown_name(self) -> str:
        return self.name or (self.model if isinstance(self.model, str) else self.model.name)

    @property
    def torch_device(self) -> torch.device:
        if self.device == "auto":
            return torch.device("cuda" if torch.cuda.is_available() else "cpu")
        return torch.device(self.device)

    @property
    def torch_dtype(self) -> torch.dtype:
        if self.dtype == "auto":
            return torch.float32 if self.torch_device.type == "cpu" else torch.bfloat16
        return DTYPES[self.dtype]

    @property
    def computing_threads(self) -> int:
        return self.threads or max(1, cores() - 1)
