"""Results as a page of Markdown. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any


def markdown(result: Mapping[str, Any]) -> str:
    """Return the tables of a result: conditions, figures and gates of every model and workload."""
    parts = [_conditions(result["conditions"])]
    for model in result["models"]:
        parts.append(f"## {model['name']}, {model['parameters'] / 1e6:.1f} M parameters\n\n{_limits(model)}")
        parts += [workload_tables(outcome) for outcome in model["workloads"]]
    return "\n\n".join(parts) + "\n"


def _conditions(conditions: Mapping[str, Any]) -> str:
    rows = [(name.replace("_", " "), str(value)) for name, value in conditions.items()]
    return _table(("condition", ""), rows)


def _limits(model: Mapping[str, Any]) -> str:
    return (
        f"Reading every 16-bit weight once per token from memory would allow "
        f"{model['one_stream_limit_tokens_per_s']:,.0f} tokens/s for one conversation, "
        "and more where a processor's cache holds a part of the weights."
    )


def workload_tables(outcome: Mapping[str, Any]) -> str:
    """Return the tables of one workload."""
    figures = [
        (name, *(f"{figure[part]:,.4g}" for part in ("median", "lowest", "highest")))
        for name, figure in outcome["figures"].items()
    ]
    text = f"### {outcome['workload']}\n\n" + _table((outcome["unit"], "median", "lowest", "highest"), figures)
    if outcome["gates"]:
        text += "\n\n" + _table(("claim", "measured", "wanted", ""), [_gate(gate) for gate in outcome["gates"]])
    return text


def _gate(gate: Mapping[str, Any]) -> tuple[str, ...]:
    sign = "at least" if "at least" in gate else "at most"
    return (gate["claim"], f"{gate['value']:.2f}", f"{sign} {gate[sign]:g}", "met" if gate["is_met"] else "missed")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
