"""The bar chart is well-formed SVG whose bars are as long as the figures say."""

from xml.etree import ElementTree

from benchmarks.chart import bars

SVG = "{http://www.w3.org/2000/svg}"


def test_bars_are_in_proportion_and_ours_stand_out() -> None:
    drawing = ElementTree.fromstring(bars("W1 <one>", "tokens/s", {"engine": 400.0, "generate": 100.0}))
    ours, theirs = drawing.findall(f"{SVG}rect")
    assert float(ours.attrib["width"]) == 4 * float(theirs.attrib["width"])
    assert ours.attrib["fill"] != theirs.attrib["fill"]
    assert [text.text for text in drawing.findall(f"{SVG}text")] == [
        "W1 <one>, tokens/s", "engine", "400", "generate", "100",
    ]  # fmt: skip
