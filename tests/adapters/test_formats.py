"""Every shape of a row, and what is said of rows that have none."""

import bz2
import gzip
import json
import lzma
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from adapters.errors import Problem
from adapters.formats import RawRow, read_rows

Compress = Callable[[bytes], bytes]
COMPRESSED = [(".gz", gzip.compress), (".xz", lzma.compress)]
CHAT = (("user", "hi"), ("assistant", "ahoy"))
WITH_SYSTEM = (("system", "be a pirate"), *CHAT)
LONGER = (*WITH_SYSTEM, ("user", "who?"), ("assistant", "Flint"))


def read(tmp_path: Path, text: str | bytes, name: str = "a.jsonl") -> list[RawRow | Problem]:
    file = tmp_path / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return list(read_rows(file))


def turns(row: RawRow | Problem) -> tuple[tuple[str, str], ...]:
    assert isinstance(row, RawRow), str(row)
    return tuple((turn.role, turn.text) for turn in row.turns)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ahoy"}]}, CHAT),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "text", "text": "h"}, {"type": "text", "text": "i"}]},
                    {"role": "assistant", "content": "ahoy"},
                ]
            },
            CHAT,
        ),
        ({"conversations": [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "ahoy"}]}, CHAT),
        (
            {
                "system": "be a pirate",
                "conversations": [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "ahoy"}],
            },
            WITH_SYSTEM,
        ),
        ({"conversations": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ahoy"}]}, CHAT),
        ({"messages": [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "ahoy"}]}, CHAT),
        ({"messages": [{"role": "Human", "content": "hi"}, {"role": "Assistant", "content": "ahoy"}]}, CHAT),
        ({"conversations": [{"from": "User", "value": "hi"}, {"from": "bot", "value": "ahoy"}]}, CHAT),
        ({"instruction": "hi", "output": "ahoy"}, CHAT),
        ({"instruction": "who?", "output": "Flint", "history": [["hi", "ahoy"]], "system": "be a pirate"}, LONGER),
        ({"instruction": "hi", "input": "", "output": "ahoy", "system": "be a pirate"}, WITH_SYSTEM),
        ({"instruction": "say", "input": "hi", "output": "ahoy"}, (("user", "say\n\nhi"), ("assistant", "ahoy"))),
        ({"instruction": "say", "context": "hi", "response": "ahoy"}, (("user", "say\n\nhi"), ("assistant", "ahoy"))),
        ({"instruction": "hi", "context": "", "response": "ahoy", "category": "open_qa"}, CHAT),
        ({"question": "hi", "answer": "ahoy"}, CHAT),
        ({"input": "hi", "output": "ahoy", "system": "be a pirate"}, WITH_SYSTEM),
        ({"prompt": "hi", "completion": "ahoy"}, CHAT),
        (
            {
                "prompt": [{"role": "user", "content": "hi"}],
                "completion": [{"role": "assistant", "content": "ahoy"}],
            },
            CHAT,
        ),
        ({"prompt": [{"role": "user", "content": "hi"}], "completion": "ahoy"}, CHAT),
        ({"user": "hi", "assistant": "ahoy", "system": "be a pirate"}, WITH_SYSTEM),
    ],
)
def test_each_shape_is_found_by_its_keys(tmp_path: Path, row: object, expected: object) -> None:
    assert turns(read(tmp_path, json.dumps(row))[0]) == expected


def test_shapes_may_be_mixed_and_lines_are_counted_from_one(tmp_path: Path) -> None:
    rows = read(tmp_path, '\n{"prompt":"hi","completion":"ahoy"}\r\n\n{"instruction":"hi","output":"ahoy"}')
    assert [(row.line, row.shape) for row in rows if isinstance(row, RawRow)] == [(2, "prompt"), (4, "alpaca")]


def test_a_byte_order_mark_at_the_start_is_no_problem(tmp_path: Path) -> None:
    assert turns(read(tmp_path, b"\xef\xbb\xbf" + b'{"prompt":"hi","completion":"ahoy"}')[0]) == CHAT


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "not JSON: Expecting property name enclosed in double quotes at column 2"),
        ('{"a": 1', "not JSON"),
        ("[" * 100_000, "not JSON that can be read"),
        ('{"a":' + "[" * 100_000, "not JSON that can be read"),
        ('{"a":' + "9" * 5000 + "}", "not JSON that can be read"),
        ('"text"', "a row is a JSON object, not a text"),
        ("null", "a row is a JSON object, not null"),
        ('{"text": "x"}', 'keys unknown: "text" (use "messages", "conversations"'),
        ("{}", "keys unknown: none"),
        ('{"messages": "oops"}', '"messages" is a text (expected a list of turns)'),
        ('{"messages": ["oops"]}', 'turn 1: a text (expected {"role": ..., "content": ...})'),
        ('{"messages": [{"content": "x"}]}', 'turn 1: "role" is missing'),
        ('{"messages": [{"role": "user"}]}', 'turn 1: "content" is missing'),
        ('{"messages": [{"role": 3, "content": "x"}]}', 'turn 1: "role" is a number'),
        ('{"messages": [{"role": "user", "content": null}]}', 'turn 1: "content" is null (expected a text)'),
        ('{"conversations": [{"from": "human"}]}', 'turn 1: "value" is missing'),
        ('{"messages": [{"role": "assistant", "content": "x", "weight": 0}]}', 'turn 1: "weight" is 0 (every reply'),
        ('{"instruction": "x"}', '"output" is missing'),
        ('{"instruction": 3, "output": "x"}', '"instruction" is a number (expected a text)'),
        ('{"instruction": "x", "output": "x", "history": [["a"]]}', '"history" is no list of pairs'),
        ('{"prompt": "x"}', '"completion" is missing'),
        ('{"prompt": "x", "completion": true}', '"completion" is true or false'),
    ],
)
def test_a_row_without_shape_says_what_is_wrong_and_what_to_do(tmp_path: Path, line: str, said: str) -> None:
    (problem,) = read(tmp_path, line)
    assert isinstance(problem, Problem)
    assert problem.line == 1
    assert problem.text.startswith(said)


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_file_may_be_one_array_whose_rows_have_the_lines_they_begin_on(tmp_path: Path, mark: bytes) -> None:
    row = json.dumps({"prompt": "hi", "completion": "ahoy"}, indent=1)
    rows = read(tmp_path, mark + f"\n[{row},\n3,\n\n {row}]\n".encode(), "a.json")
    assert [row.line for row in rows] == [2, 6, 8]
    assert turns(rows[0]) == turns(rows[2]) == CHAT
    assert "a row is a JSON object, not a number" in str(rows[1])


@pytest.mark.parametrize("indent", [1, "\t"])
def test_objects_may_go_over_many_lines_each(tmp_path: Path, indent: int | str) -> None:
    row = json.dumps({"prompt": "hi", "completion": "ahoy"}, indent=indent)
    (one,) = read(tmp_path, row, "a.json")
    assert turns(one) == CHAT
    rows = read(tmp_path, f"\ufeff{row}\r\n\n{row},\n{row}\n")
    assert [row.line for row in rows] == [1, 6, 10]
    assert turns(rows[0]) == turns(rows[2]) == CHAT


@pytest.mark.parametrize("indent", [None, 1])
def test_an_object_with_one_list_of_chats_is_read_as_that_list(tmp_path: Path, indent: int | None) -> None:
    chat = {"prompt": "hi", "completion": "ahoy", "data": [3]}
    whole = {"version": [1, {"data": []}], "said": '"data": [', "data": [chat, chat], "more": {"data": 1}}
    rows = read(tmp_path, json.dumps(whole, indent=indent) + "\n", "a.json")
    assert [turns(row) for row in rows] == [CHAT, CHAT]
    assert [row.line for row in rows] == ([1, 1] if indent is None else [10, 17])


def test_of_several_lists_of_chats_none_is_chosen(tmp_path: Path) -> None:
    chat = {"prompt": "hi", "completion": "ahoy"}
    (problem,) = read(tmp_path, json.dumps({"train": [chat], "test": [chat]}), "a.json")
    assert str(problem).endswith(
        'several lists of chats: "train", "test" (make a file of each; give one to learn from, one as --val)'
    )


def test_commas_between_the_lines_are_no_problem(tmp_path: Path) -> None:
    row = '{"prompt": "hi", "completion": "ahoy"}'
    assert [turns(each) for each in read(tmp_path, f"{row}\n{row},\r\n{row}\n")] == [CHAT] * 3
    assert [each.line for each in read(tmp_path, f"{row},\n{{,\n{row},\n}}\n") if isinstance(each, Problem)] == [2, 4]
    assert turns(read(tmp_path, '{"more": {"a": 1},\n "prompt": "hi", "completion": "ahoy"}\n')[0]) == CHAT


def test_an_object_over_many_lines_with_a_fault_is_one_problem(tmp_path: Path) -> None:
    chat = '{\n "messages": [\n  {"role": "user" "content": "x"}\n ]\n}\n'
    (problem,) = read(tmp_path, chat)
    assert "a.jsonl:3: not JSON: Expecting ',' delimiter at column 19 (the file is read as one array, or" in str(
        problem
    )
    row, stray = read(tmp_path, '{\n"user": "hi", "assistant": "ahoy"\n}\n]\n')
    assert turns(row) == CHAT
    assert "a.jsonl:4: not JSON: Expecting value at column 1" in str(stray)


def test_an_array_that_is_no_json_or_no_utf8_is_told_with_its_line(tmp_path: Path) -> None:
    assert "a.jsonl:2: not JSON: Expecting value at column 1" in str(read(tmp_path, "[\n}")[0])
    assert "a.jsonl:2: byte 0xe9 is not UTF-8" in str(read(tmp_path, b'[\n"\xe9"]')[0])


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ('[\n{"user": "a", "assistant": "b"},\n]\n', 2, 'a comma too many, before "]", at column 32 (the file'),
        (
            '{"rows": [\n{"user": "a", "assistant": "b",},\n]}',
            2,
            'a comma too many, before "}", at column 31 (the file',
        ),
        ('{"user": "a", "assistant": "b",}\n{}', 1, 'a comma too many, before "}", at column 31 (each line'),
        ('[{"user": "a,]", "assistant"}]', 1, "Expecting ':' delimiter at column 29 (the file"),
    ],
)
def test_a_comma_too_many_is_told_where_it_is(tmp_path: Path, text: str, line: int, said: str) -> None:
    problem = read(tmp_path, text)[0]
    assert isinstance(problem, Problem)
    assert (problem.line, problem.text.removeprefix("not JSON: ")[: len(said)]) == (line, said)


def test_bytes_that_are_not_utf8_are_told_with_line_and_column(tmp_path: Path) -> None:
    problem = read(tmp_path, b'{"prompt":"hi","completion":"ahoy"}\n{"prompt":"caf\xe9","completion":"x"}')[1]
    assert str(problem) == f"{tmp_path}/a.jsonl:2: byte 0xe9 at column 15 is not UTF-8 (save the file as UTF-8)"


def test_utf16_and_a_mark_inside_the_file_are_told(tmp_path: Path) -> None:
    for encoding in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"):
        assert "UTF-16 or UTF-32" in str(read(tmp_path, '{"prompt":"hi"}'.encode(encoding))[0])
    assert "byte order mark" in str(read(tmp_path, '{"prompt":"a","completion":"b"}\n\ufeff{"prompt":"a"}')[1])


def test_a_missing_file_is_a_problem_and_no_traceback(tmp_path: Path) -> None:
    (problem,) = read_rows(tmp_path / "none.jsonl")
    assert isinstance(problem, Problem)
    assert problem.text == "cannot be read: No such file or directory"


def test_csv_with_quotes_and_an_optional_system_column(tmp_path: Path) -> None:
    rows = read(tmp_path, 'User,assistant,system\nhi,ahoy,be a pirate\n"a,\nb","say ""arr""",\n', "a.csv")
    assert turns(rows[0]) == WITH_SYSTEM
    assert turns(rows[1]) == (("user", "a,\nb"), ("assistant", 'say "arr"'))
    assert [row.line for row in rows] == [2, 3]
    for delimiter in "\t;":
        assert turns(read(tmp_path, "user,assistant\nhi,ahoy\n".replace(",", delimiter), "a.csv")[0]) == CHAT


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("id,prompt,completion\n1,hi,ahoy\n", CHAT),
        ("question,answer\nhi,ahoy\n", CHAT),
        ("instruction,input,output\nhi,,ahoy\n", CHAT),
        ("instruction,input,output\nsay,hi,ahoy\n", (("user", "say\n\nhi"), ("assistant", "ahoy"))),
    ],
)
def test_csv_columns_are_the_keys_of_a_row(tmp_path: Path, text: str, expected: object) -> None:
    assert turns(read(tmp_path, text, "a.csv")[0]) == expected


@pytest.mark.parametrize(
    "header", ["user,assistant", "\ufeffPrompt;Completion\r", '"question"\t"answer"', 'user;assistant;"a,b,c,d"']
)
def test_csv_without_a_name_that_says_so_is_known_by_its_columns(tmp_path: Path, header: str) -> None:
    row = "hi,ahoy" + "," * (header.count(";") - 1)
    delimiter = next(mark for mark in ";\t," if mark in header)
    assert turns(read(tmp_path, f"{header}\n{row.replace(',', delimiter)}\n", "stdin")[0]) == CHAT


@pytest.mark.parametrize("name", ["a.csv", "stdin"])
def test_csv_may_have_the_line_ends_of_old_macs(tmp_path: Path, name: str) -> None:
    rows = read(tmp_path, "user,assistant\rhi,ahoy\rhi,ahoy\r", name)
    assert [turns(row) for row in rows] == [CHAT, CHAT]


def test_text_with_the_line_ends_of_old_macs_is_told_as_what_it_is(tmp_path: Path) -> None:
    assert all(isinstance(row, Problem) for row in read(tmp_path, "hello\rthere, world\n"))


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("", 1, "columns none (use user,assistant"),
        ("question,reply\na,b\n", 1, "columns question, reply (use user,assistant"),
        ("user,assistant,,,User\na,b,,,c\n", 1, "several columns user (rename all but one of each)"),
        ("user,assistant\na,b,c\n", 2, "3 cells, expected 2 (put texts with commas in quotes)"),
        ('user,assistant\n"a,b\n', 2, "not CSV"),
        (b"user,assistant\na,\xff\n", 2, "byte 0xff is not UTF-8"),
    ],
)
def test_csv_problems_have_their_line(tmp_path: Path, text: str | bytes, line: int, said: str) -> None:
    (problem,) = read(tmp_path, text, "a.csv")
    assert isinstance(problem, Problem)
    assert (problem.line, problem.text[: len(said)]) == (line, said)


def test_a_cell_may_be_as_long_as_its_file(tmp_path: Path) -> None:
    (row,) = read(tmp_path, f"user,assistant\nhi,{'x' * 200_000}\n", "a.csv")
    assert turns(row)[1] == ("assistant", "x" * 200_000)


@pytest.mark.parametrize(
    ("name", "text"),
    [("a.jsonl", '{"user": "hi", "assistant": "ahoy"}\n'), ("a.csv", "user,assistant\nhi,ahoy\n")],
)
@pytest.mark.parametrize(("suffix", "compress"), COMPRESSED)
def test_a_compressed_file_is_read_as_what_it_holds(
    tmp_path: Path, name: str, text: str, suffix: str, compress: Compress
) -> None:
    (row,) = read(tmp_path, compress(text.encode()), name + suffix)
    assert turns(row) == CHAT


@pytest.mark.parametrize("name", ["a", "a.jsonl", "a.txt", "a.jsonl.gz"])
@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress, bytes])
def test_whether_a_file_is_compressed_says_its_beginning_and_not_its_name(
    tmp_path: Path, name: str, pack: Compress
) -> None:
    (row,) = read(tmp_path, pack(b'{"user": "hi", "assistant": "ahoy"}\n'), name)
    assert turns(row) == CHAT


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"PK\x03\x04\x14\0", "the file is a ZIP archive, as spreadsheets are (save a sheet as CSV, or unpack it)"),
        (b"PAR1\x15\x04", "the file is Parquet (save it as JSONL)"),
        (zstandard.compress(b"{}"), "the file is compressed by Zstandard (unpack it, or take gzip or xz)"),
        (bz2.compress(b"{}"), "the file is compressed by bzip2 (unpack it, or take gzip or xz)"),
        ("hi".encode("utf-16-le"), "the file is UTF-16 or UTF-32 (save it as UTF-8)"),
    ],
)
def test_a_file_of_another_kind_is_one_problem_that_names_it(tmp_path: Path, data: bytes, said: str) -> None:
    (problem,) = read(tmp_path, data, "a.csv")
    assert isinstance(problem, Problem)
    assert said in str(problem)


@pytest.mark.parametrize(("suffix", "compress"), COMPRESSED)
def test_a_damaged_compressed_file_is_one_problem(tmp_path: Path, suffix: str, compress: Compress) -> None:
    whole = compress(b'{"user": "hi", "assistant": "ahoy"}\n' * 50)
    for data in (whole[:-9], whole[:12] + b"xxxx" + whole[16:]):
        (problem,) = read(tmp_path, data, f"a.jsonl{suffix}")
        assert isinstance(problem, Problem)
        assert "cannot be read" in str(problem)
