"""The table of codes in docs/protocol.md is that of the code."""

import re
from pathlib import Path

from chatbot.protocol.errors import ProtocolError

ROOT = Path(__file__).parents[2]
KINDS = {kind.__name__: kind.status for kind in ProtocolError.__subclasses__()}
RAISED = re.compile(rf'\b({"|".join(KINDS)})[(,]\s*"(\w+)"')
ROW = re.compile(r"^\| ([^|]+) \| (\d+)[\d, ]* \|", re.MULTILINE)


def test_every_code_that_a_client_can_get_is_in_the_table_with_its_status() -> None:
    sources = [file.read_text() for file in (ROOT / "chatbot").rglob("*.py")]
    raised = {(code, KINDS[kind]) for source in sources for kind, code in RAISED.findall(source)}
    table = (ROOT / "docs" / "protocol.md").read_text().partition("\n### Codes\n")[2].partition("\n## ")[0]
    shown = {(code, int(status)) for codes, status in ROW.findall(table) for code in re.findall(r"`(\w+)`", codes)}
    assert raised <= shown
    assert {code for code, _ in shown} <= {text for source in sources for text in re.findall(r'"(\w+)"', source)}
