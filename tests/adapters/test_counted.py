from adapters.counted import counted


def test_only_one_is_singular() -> None:
    assert [counted(number, "chat") for number in (0, 1, 2)] == ["0 chats", "1 chat", "2 chats"]
