"""The table of commands, and that app and plain mode have a handler for each."""

import pytest

from tui.app import ChatApp
from tui.commands import COMMANDS, UnknownCommand, key_label, matching, message_of, parse, trimmed
from tui.plain import PlainChat


def test_a_line_is_a_command_or_a_message() -> None:
    parsed = parse("/rename  Sea talk ")
    assert parsed is not None
    assert (parsed[0].name, parsed[1]) == ("rename", "Sea talk")
    assert parse("hello") is None
    assert parse("/a\n/b") is parse("/ed one\ntwo") is None
    edited = parse("/edit one\ntwo")
    assert edited is not None
    assert (edited[0].name, edited[1]) == ("edit", "one\ntwo")
    assert parse("//etc/passwd") is None
    opened = parse("/open\tSea talk")
    assert opened is not None
    assert (opened[0].name, opened[1]) == ("open", "Sea talk")
    assert message_of("//etc/passwd") == "/etc/passwd"
    assert parse("  /new") is not None


@pytest.mark.parametrize("before", [" ", "\n", " \n\n"])
def test_what_edit_takes_is_a_message_and_keeps_its_indentation(before: str) -> None:
    edited = parse(f"/edit{before}    if x:\n        y()\n")
    assert edited is not None
    assert (edited[0].name, edited[1]) == ("edit", "    if x:\n        y()")


def test_only_what_would_be_a_command_needs_its_second_slash() -> None:
    assert message_of("//edit one\ntwo") == "/edit one\ntwo"
    assert message_of("// what it does\nrun()") == "// what it does\nrun()"
    assert message_of("///x") == "//x"


def test_blank_lines_around_a_message_go_and_its_indentation_stays() -> None:
    assert trimmed(" \n\n    if x:\n        y()\n  \n") == "    if x:\n        y()"
    assert trimmed("\tx ") == "\tx"
    assert trimmed(" \n ") == ""


@pytest.mark.parametrize(("typed", "name"), [("/model x", "persona"), ("/q", "quit"), ("/HELP", "help")])
def test_aliases_beginnings_and_case_are_understood(typed: str, name: str) -> None:
    parsed = parse(typed)
    assert parsed is not None
    assert parsed[0].name == name


def test_what_cannot_be_undone_needs_its_whole_name() -> None:
    for line in ("/d", "/delet"):
        with pytest.raises(UnknownCommand, match="did you mean /delete"):
            parse(line)
    assert parse("/delete") is not None


def test_a_slip_is_met_with_the_nearest_name() -> None:
    with pytest.raises(UnknownCommand, match="did you mean /rename"):
        parse("/renmae x")
    with pytest.raises(UnknownCommand, match="/help lists them; a message that begins"):
        parse("/etc/passwd is what?")
    with pytest.raises(UnknownCommand, match=r"no command /etc/etc.*…; /help lists"):
        parse("/etc" * 99)


def test_a_command_that_takes_nothing_is_not_run_with_something() -> None:
    for line in ("/delete Sea talk", "/new hello", "/retry in French"):
        with pytest.raises(UnknownCommand, match="takes nothing after it"):
            parse(line)


def test_half_typed_commands_are_offered() -> None:
    assert [command.name for command in matching("/re")] == ["rename", "retry"]
    assert len(matching("/")) == len(COMMANDS)
    assert matching("/rename x") == matching("hello") == ()


def test_every_command_has_its_handlers_and_a_key_of_its_own() -> None:
    for command in COMMANDS:
        assert hasattr(ChatApp, f"command_{command.name}")
        assert hasattr(PlainChat, f"command_{command.name}") == command.is_plain
    keys = [command.key for command in COMMANDS if command.key]
    assert len(keys) == len(set(keys))
    assert not {"ctrl+i", "ctrl+m", "ctrl+h", "ctrl+["} & set(keys)
    assert (key_label("ctrl+n"), key_label("f1"), key_label("escape")) == ("^N", "F1", "Esc")
