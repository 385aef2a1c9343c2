"""Each row gets its own adapter's update, and the model its plain linears back."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from chatbot.engine import lora
from chatbot.engine.adapter_files import LoraAdapter, LoraPair
from chatbot.engine.lora import PATIENCE_STEPS, AdaptedLinear, LoraBank
from chatbot.engine.lora_stack import Alone, Part, Stack


class Twins(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.left = nn.Linear(6, 5)
        self.right = nn.Linear(6, 5, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        left: torch.Tensor = self.left(x)
        right: torch.Tensor = self.right(x)
        return left + 10 * right


def _adapter(digest: str, rank: int, *names: str) -> LoraAdapter:
    torch.manual_seed(len(digest) + rank)
    pairs = {name: LoraPair(torch.randn(rank, 6), torch.randn(5, rank)) for name in names}
    return LoraAdapter(digest, rank, pairs)


ONE, TWO, THREE = _adapter("one", 2, "left", "right"), _adapter("two", 3, "left"), _adapter("three", 4, "right")


def _expected(model: Twins, x: torch.Tensor, adapter: LoraAdapter | None) -> torch.Tensor:
    y: torch.Tensor = model(x)
    for name, scale in (("left", 1), ("right", 10)):
        if adapter is not None and name in adapter.pairs:
            pair = adapter.pairs[name]
            y = y + scale * (x @ pair.down.T) @ pair.up.T
    return y


@pytest.mark.parametrize(
    "rows",
    [[None, None], [ONE, ONE], [TWO, TWO], [ONE, None], [None, TWO, ONE], [ONE, TWO, THREE, None, TWO], [THREE]],
)
@torch.no_grad()
def test_each_row_is_changed_by_its_adapter_alone(rows: list[LoraAdapter | None]) -> None:
    model = Twins()
    x = torch.randn(len(rows), 1, 6)
    expected = torch.stack([_expected(model, x[i], adapter) for i, adapter in enumerate(rows)])
    bank = LoraBank(model)
    bank.use([ONE, THREE])
    bank.use(rows)
    assert torch.allclose(model(x), expected, atol=1e-4)


@torch.no_grad()
def test_a_prompt_of_many_tokens_under_one_adapter() -> None:
    model = Twins()
    x = torch.randn(1, 9, 6)
    expected = _expected(model, x, TWO)
    bank = LoraBank(model)
    bank.use([TWO])
    assert torch.allclose(model(x), expected, atol=1e-4)


def test_a_model_without_active_adapters_holds_plain_linears_after_release() -> None:
    model = Twins()
    plain = model.left
    bank = LoraBank(model)
    bank.use([ONE, TWO])
    assert isinstance(model.left, AdaptedLinear)
    bank.release({"one", "two"})
    assert isinstance(model.left, AdaptedLinear)
    bank.release({"one"})
    assert model.left is plain
    assert not bank.held


def test_only_adapters_in_use_are_stacked_once_others_outnumbered_them_for_some_steps() -> None:
    bank = LoraBank(Twins())
    bank.use([ONE, TWO, THREE])
    for _ in range(2 * PATIENCE_STEPS):
        bank.use([ONE, TWO])
    for _ in range(PATIENCE_STEPS):
        bank.use([TWO, None])
    assert bank.held == {"one", "two", "three"}
    bank.use([TWO, None])
    assert bank.held == {"two"}


def test_a_prompt_under_one_adapter_leaves_the_stack_of_the_others_as_it_is() -> None:
    model = Twins()
    bank = LoraBank(model)
    bank.use([ONE, TWO, THREE])
    left = model.left
    assert isinstance(left, AdaptedLinear)
    stack = left.stack
    for adapter in (ONE, TWO, THREE):
        bank.use([adapter])
    bank.use([ONE, TWO, THREE])
    assert stack is not None
    assert left.stack is stack


@pytest.mark.parametrize("rows", [[ONE], [ONE, TWO]])
@pytest.mark.parametrize("is_released", [False, True])
@torch.no_grad()
def test_an_adapter_whose_layout_failed_half_way_is_laid_out_again(
    rows: list[LoraAdapter], is_released: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Twins()
    x = torch.randn(len(rows), 1, 6)
    expected = torch.stack([_expected(model, x[i], adapter) for i, adapter in enumerate(rows)])
    bank = LoraBank(model)
    made = iter([False])  # the first of two linears is made, the second not
    of = {kind: kind.of for kind in (Alone, Stack)}

    def failing(kind: type[Alone] | type[Stack], *given: Any) -> Any:
        if next(made, True):
            raise torch.OutOfMemoryError("no memory")
        return of[kind](*given)

    with monkeypatch.context() as broken:
        for kind in (Alone, Stack):
            broken.setattr(kind, "of", partial(failing, kind))
        with pytest.raises(torch.OutOfMemoryError):
            bank.use(rows)
    if is_released:
        bank.release(set())
        assert not any(isinstance(linear, AdaptedLinear) for linear in (model.left, model.right))
    bank.use(rows)
    assert torch.allclose(model(x), expected, atol=1e-4)


@torch.no_grad()
def test_of_many_adapters_used_alone_the_latest_stay_laid_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lora, "MOST_ALONE", 2)
    model = Twins()
    plain = model.right
    x = torch.randn(1, 1, 6)
    expected = {adapter.digest: _expected(model, x, adapter) for adapter in (ONE, TWO, THREE)}
    bank = LoraBank(model)
    for adapter in (THREE, TWO, THREE, ONE, TWO, TWO):
        bank.use([adapter])
        assert torch.allclose(model(x), expected[adapter.digest], atol=1e-4)
    assert bank.held == {"one", "two"}
    bank.use([_adapter("four", 2, "left")])
    bank.use([_adapter("five", 2, "left")])
    assert model.right is plain


class Joined(nn.Module):
    """The linears of Twins side by side in one, the outputs of the second in another order."""

    def __init__(self, twins: Twins) -> None:
        super().__init__()
        self.order = torch.tensor([3, 0, 4, 1, 2])
        self.both = nn.Linear(6, 10)
        self.both.weight.data = torch.cat([twins.left.weight, twins.right.weight[self.order]])
        self.both.bias.data = torch.cat([twins.left.bias, torch.zeros(5)])

    @property
    def parts(self) -> tuple[Part, Part]:
        return Part("left", torch.arange(5)), Part("right", 5 + self.order.argsort())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        left, right = self.both(x).chunk(2, dim=-1)
        return torch.as_tensor(left + 10 * right[..., self.order.argsort()])


@pytest.mark.parametrize("rows", [[ONE], [TWO], [THREE, THREE], [ONE, None], [TWO, THREE], [ONE, TWO, THREE, None]])
@torch.no_grad()
def test_linears_that_stand_side_by_side_get_each_its_own_update(rows: list[LoraAdapter | None]) -> None:
    twins = Twins()
    model = Joined(twins)
    x = torch.randn(len(rows), 1, 6)
    expected = torch.stack([_expected(twins, x[i], adapter) for i, adapter in enumerate(rows)])
    bank = LoraBank(model, {"both": model.parts})
    bank.use(rows)
    assert torch.allclose(model(x), expected, atol=1e-4)


@torch.no_grad()
def test_two_adapters_of_equal_shape_are_told_apart_after_a_swap() -> None:
    model = Twins()
    other = _adapter("other", 2, "left", "right")
    x = torch.randn(1, 1, 6)
    expected = [_expected(model, x, adapter) for adapter in (ONE, other)]
    bank = LoraBank(model)
    for adapter, output in zip((ONE, other), expected, strict=True):
        bank.use([adapter])
        assert torch.allclose(model(x), output, atol=1e-4)


@torch.no_grad()
def test_an_adapter_that_overflows_on_its_neighbours_row_changes_its_own_alone() -> None:
    model = Twins()
    pair = LoraPair(torch.zeros(1, 6), torch.zeros(5, 1))
    pair.down[0, 2] = 3e38
    huge = LoraAdapter("huge", 1, {"left": pair})
    x = torch.randn(2, 1, 6)
    x[0, :, 2], x[1, :, 2] = 0.0, 9.0
    expected = model(x)
    bank = LoraBank(model)
    bank.use([huge, None])
    assert torch.allclose(model(x), expected, atol=1e-4)
