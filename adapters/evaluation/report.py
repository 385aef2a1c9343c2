"""An evaluation as a table for people: a line for each set of questions, a column for each persona. Pure."""

from collections.abc import Sequence

from adapters.evaluation.evaluation import Evaluation


def report(evaluation: Evaluation) -> str:
    """Return the figures as plain text columns."""
    rows = [["questions right", "base", *evaluation.personas]]
    figures = [evaluation.base, *(persona.figures for persona in evaluation.personas.values())]
    rows += [[name, *(_percent(each.right[name]) for each in figures)] for name in evaluation.base.right]
    rows += [
        ["stops by itself", *(_percent(each.stops_itself) for each in figures)],
        ["control tokens as text", *(str(each.control_tokens) for each in figures)],
        ["distinct-1", *(f"{each.distinct_1:.2f}" for each in figures)],
        ["distinct-2", *(f"{each.distinct_2:.2f}" for each in figures)],
        ["in voice", "", *(_percent(persona.voice) for persona in evaluation.personas.values())],
        ["in voice, base's replies", "", *(_percent(each.voice_of_base) for each in evaluation.personas.values())],
    ]
    text = _columns(rows)
    for name, persona in evaluation.personas.items():
        for subset, scores in persona.translation.items():
            text += f"\n{name}, {subset}: BLEU {scores['bleu']}, chrF {scores['chrf']} on {scores['count']:.0f} pairs"
    for source, perplexity in evaluation.perplexity.items():
        text += f"\nperplexity, {source}: {perplexity:.2f}"
    return text


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.0%}"


def _columns(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(line.rstrip() for line in lines)
