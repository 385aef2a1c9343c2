"""What a machine's products reach, and the precision that follows from it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from adapters.recipes.base import __main__ as command
from adapters.recipes.base import throughput
from adapters.recipes.base.corpus import Corpus
from adapters.recipes.base.options import read_options

CPU = torch.device("cpu")


@pytest.mark.parametrize(("rate", "size"), [(1e9, 256), (100e9, 1024), (1e15, 2048)])
def test_a_product_is_no_larger_than_it_takes_to_measure_it(
    monkeypatch: pytest.MonkeyPatch, rate: float, size: int
) -> None:
    """At the rate of a CPU that emulates bfloat16, of one that does not, and of one beyond any."""
    tried = _with_rate(monkeypatch, lambda _: rate)
    assert throughput.peak_flops(CPU, is_bfloat16=True) == pytest.approx(rate)
    assert tried[-1] == size == max(tried)


@pytest.mark.parametrize(("gain", "is_faster"), [(0.02, False), (4.0, True)])
def test_bfloat16_is_chosen_where_its_products_are_faster(
    monkeypatch: pytest.MonkeyPatch, gain: float, is_faster: bool
) -> None:
    _with_rate(monkeypatch, lambda is_bfloat16: 50e9 * (gain if is_bfloat16 else 1))
    assert throughput.is_bfloat16_faster(CPU) is is_faster
    assert _precision() is is_faster


def test_a_precision_that_is_asked_for_is_used_unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = _with_rate(monkeypatch, lambda _: 1e9)
    assert (_precision("--bfloat16"), _precision("--no-bfloat16"), tried) == (True, False, [])


def test_the_machine_itself_is_measured() -> None:
    assert throughput.peak_flops(CPU, is_bfloat16=False) > 1e6


def _with_rate(monkeypatch: pytest.MonkeyPatch, rate: Callable[[bool], float]) -> list[int]:
    """Let products take as long as at this rate; return where their sizes will be noted."""
    sizes: list[int] = []

    def product_s(size: int, _: torch.device, is_bfloat16: bool) -> float:
        sizes.append(size)
        return 2 * size**3 / rate(is_bfloat16)

    monkeypatch.setattr(throughput, "_product_s", product_s)
    return sizes


def _precision(*flags: str) -> bool:
    return command._plan(read_options(["--out", ".", *flags]), Corpus({}, {})).is_bfloat16
