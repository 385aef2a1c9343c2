"""Personas and training runs as `--json` shows them."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from adapters.store import AdapterFolder
    from adapters.train import Outcome


def adapter_json(adapter: "AdapterFolder") -> dict[str, Any]:
    """Return one version of a persona."""
    return {
        "name": adapter.name,
        "version": adapter.version,
        "path": str(adapter.path),
        "digest": adapter.digest,
        "base": adapter.base_name,
        "base_digest": adapter.base_digest,
        "description": adapter.description,
        "system": adapter.system,
        "sampling": dict(adapter.sampling),
        "created_at": adapter.created_at,
        "bytes": adapter.bytes_on_disk,
    }


def outcome_json(outcome: "Outcome") -> dict[str, Any]:
    """Return what a run came to."""
    return {
        "settings": outcome.plan.settings(),
        "reasons": outcome.plan.reasons,
        "probe": asdict(outcome.probe),
        "adapter": adapter_json(outcome.adapter) if outcome.adapter else None,
        "before": asdict(outcome.before) if outcome.before else None,
        "after": asdict(outcome.after) if outcome.after else None,
        "best_step": outcome.best_step,
    }
