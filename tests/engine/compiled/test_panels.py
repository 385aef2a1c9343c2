"""A product with panels is the product, for every shape, kind of number and count of threads."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given, settings
from hypothesis import strategies as st

from chatbot.engine.compiled.library import load
from chatbot.engine.compiled.panels import PanelWeight, is_exact_in_bfloat16
from tests.examples import examples


@settings(max_examples=examples(80))
@given(
    outputs=st.integers(1, 150),
    inputs=st.integers(1, 40).map(lambda number: 4 * number),
    rows=st.integers(1, 40),
    has_bias=st.booleans(),
    is_narrow=st.booleans(),
    threads=st.sampled_from([1, 2]),
    seed=st.integers(0, 99),
)
def test_products_are_those_of_torch(
    outputs: int, inputs: int, rows: int, has_bias: bool, is_narrow: bool, threads: int, seed: int
) -> None:
    random = torch.Generator().manual_seed(seed)
    weight = torch.randn(outputs, inputs, generator=random)
    weight = weight.bfloat16().float() if is_narrow else weight
    bias = torch.randn(outputs, generator=random) if has_bias else None
    x = torch.randn(rows, inputs, generator=random)
    panels = PanelWeight(weight, bias, load())
    assert bool(panels.product.is_wide) is not is_narrow
    torch.set_num_threads(threads)
    got, residual = panels(x), torch.ones(rows, outputs)
    panels.add_to(residual, x)
    torch.set_num_threads(1)
    expected = F.linear(x.double(), weight.double(), None if bias is None else bias.double()).float()
    assert torch.allclose(got, expected, atol=1e-4)
    assert torch.equal(residual, got + 1)


def test_threads_change_no_sum() -> None:
    weight, x = torch.randn(1000, 256), torch.randn(5, 256)
    panels = PanelWeight(weight, None, load())
    alone = panels(x)
    torch.set_num_threads(2)
    together = panels(x)
    torch.set_num_threads(1)
    assert torch.equal(alone, together)


def test_rows_may_come_in_any_shape() -> None:
    weight = torch.randn(24, 8)
    x = torch.randn(8, 3, 2).transpose(0, 2)
    assert torch.allclose(PanelWeight(weight, None, load())(x), F.linear(x, weight), atol=1e-5)


@pytest.mark.parametrize(("value", "is_exact"), [(1.0, True), (1 / 3, False), (3.0e38, False), (1e-40, False)])
def test_what_bfloat16_cannot_hold_stays_float32(value: float, is_exact: bool) -> None:
    assert is_exact_in_bfloat16(torch.tensor([[0.5, value]])) is is_exact
