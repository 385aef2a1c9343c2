"""Weights lie one after the other, as they were, and stay where they are."""

import mmap
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from chatbot.engine.compiled import weight_memory
from chatbot.engine.compiled.library import load
from chatbot.engine.compiled.panels import PanelWeight
from chatbot.engine.compiled.weight_memory import BLOCK_BYTES, LINE_BYTES, PAGE_BYTES, WeightMemory
from chatbot.engine.formats import keeper


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_what_is_placed_is_equal_contiguous_and_apart(dtype: torch.dtype) -> None:
    memory = WeightMemory()
    given = [torch.randn(7, 5).to(dtype).T, torch.randn(3, 33).to(dtype), torch.randn(1).to(dtype)]
    placed = [memory.place(tensor) for tensor in given]
    for one, other in zip(given, placed, strict=True):
        assert torch.equal(one, other)
        assert other.is_contiguous()
        assert other.data_ptr() % LINE_BYTES == 0
    starts = [tensor.data_ptr() for tensor in placed]
    assert starts == sorted(starts)
    assert starts[-1] - starts[0] < 4 * LINE_BYTES + sum(tensor.nbytes for tensor in given)


def test_a_block_begins_with_a_page_and_a_full_one_is_followed_by_another() -> None:
    memory = WeightMemory()
    half = torch.arange(BLOCK_BYTES // 8, dtype=torch.int32)
    first, second, third = (memory.place(half + number) for number in range(3))
    assert first.data_ptr() % PAGE_BYTES == third.data_ptr() % PAGE_BYTES == 0
    assert second.data_ptr() == first.data_ptr() + half.nbytes
    for number, tensor in enumerate((first, second, third)):
        assert torch.equal(tensor, half + number)


def test_what_is_larger_than_a_block_gets_one_of_its_own_size() -> None:
    large = torch.zeros(BLOCK_BYTES + 3, dtype=torch.uint8)
    large[-1] = 9
    assert torch.equal(WeightMemory().place(large), large)


SMAPS = Path("/proc/self/smaps")


@pytest.mark.skipif(not SMAPS.exists(), reason="only Linux tells how memory is mapped")
def test_the_memory_is_private_and_asks_for_huge_pages() -> None:
    placed = WeightMemory().place(torch.ones(3 * PAGE_BYTES, dtype=torch.uint8))
    mappings = SMAPS.read_text().split("\nVmFlags:")
    of_it = next(text for text in mappings if _holds(text.splitlines(), placed.data_ptr()))
    flags = mappings[mappings.index(of_it) + 1].splitlines()[0].split()
    assert "sh" not in flags
    assert "hg" in flags


def _holds(lines: list[str], address: int) -> bool:
    head = next(line for line in lines if "-" in line.split(" ")[0])
    first, last = (int(number, 16) for number in head.split(" ")[0].split("-"))
    return first <= address < last


def test_where_the_system_has_no_huge_pages_the_memory_is_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing(mmap.mmap):
        def madvise(self, *_: int) -> None:
            raise OSError(22, "Invalid argument")

    refusing = SimpleNamespace(mmap=Refusing, ACCESS_COPY=mmap.ACCESS_COPY, MADV_HUGEPAGE=14)
    monkeypatch.setattr(weight_memory, "mmap", refusing)
    assert torch.equal(WeightMemory().place(torch.arange(5)), torch.arange(5))


def test_the_weights_of_a_model_lie_side_by_side_and_multiply_as_before() -> None:
    keep = keeper("highest", load())
    weights = [torch.randn(64, 48).bfloat16().float() for _ in range(2)]  # whole panels, whatever their width
    kept = [keep(weight, None) for weight in weights]
    x = torch.randn(3, 48)
    for weight, panels in zip(weights, kept, strict=True):
        assert isinstance(panels, PanelWeight)
        assert torch.allclose(panels(x), F.linear(x, weight), atol=1e-4)
    first, second = (panels.product.weights for panels in kept if isinstance(panels, PanelWeight))
    assert second - first == 64 * 48 * 2
