import torch
from hypothesis import given
from hypothesis import strategies as st

from adapters.rank import at_rank
from chatbot.engine.adapter_files import LoraPair


def a_pair(seed: int, rank: int, inputs: int, outputs: int) -> LoraPair:
    rng = torch.Generator().manual_seed(seed)
    return LoraPair(torch.randn(rank, inputs, generator=rng), torch.randn(outputs, rank, generator=rng))


@given(st.integers(0, 10**6), st.integers(1, 6), st.integers(1, 9), st.integers(1, 9), st.integers(1, 8))
def test_a_pair_at_another_rank_is_as_near_as_that_rank_allows(
    seed: int, rank: int, inputs: int, outputs: int, wanted: int
) -> None:
    pair = a_pair(seed, rank, inputs, outputs)
    whole = pair.up @ pair.down
    cut = at_rank(pair, wanted)
    kept = min(wanted, rank, inputs, outputs)
    assert (cut.down.shape, cut.up.shape) == ((kept, inputs), (outputs, kept))
    lost = torch.linalg.svdvals(whole)[wanted:]
    torch.testing.assert_close(torch.linalg.matrix_norm(whole - cut.up @ cut.down), lost.norm(), atol=1e-4, rtol=1e-4)


def test_a_pair_at_its_own_rank_changes_the_same() -> None:
    pair = a_pair(1, 3, 8, 5)
    same = at_rank(pair, 3)
    torch.testing.assert_close(same.up @ same.down, pair.up @ pair.down)
