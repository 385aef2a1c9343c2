"""An adapter at another rank: the nearest change of each linear that the rank allows.

The nearest is what the largest singular values of the change keep (Eckart and Young 1936), found without multiplying
the whole change out. A higher rank keeps all of it, and room to learn more.
"""

from typing import Any

import torch

from chatbot.engine.adapter_files import LoraPair


def at_rank(pair: LoraPair, rank: int) -> LoraPair:
    """Return the update of this rank, or of less if it has less, that is nearest to `pair`'s.

    Its `down` is `[rank, in_features]`, its `up` is `[out_features, rank]`, and they are equally large.
    """
    out_basis, left = torch.linalg.qr(pair.up)
    in_basis, right = torch.linalg.qr(pair.down.T)
    u, sizes, v = torch.linalg.svd(left @ right.T, full_matrices=False)
    roots = sizes[:rank].sqrt()
    return LoraPair(roots[:, None] * (v[:rank] @ in_basis.T), out_basis @ u[:, :rank] * roots)


def fill(model: Any, pairs: dict[str, LoraPair]) -> None:
    """Give a fresh adapter of peft's these updates, as near as its rank comes; its scaling is taken out of them.

    Ranks beyond an update's own stay as they are in a fresh adapter: they change nothing, and learn.
    """
    base = model.get_base_model()
    with torch.no_grad():
        for name, pair in pairs.items():
            module = base.get_submodule(name)
            down, up = module.lora_A["default"].weight, module.lora_B["default"].weight
            nearest = at_rank(pair, len(down))
            rank = len(nearest.down)
            down[:rank] = nearest.down
            up[:, :rank] = nearest.up / module.scaling["default"]
