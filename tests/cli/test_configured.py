from pathlib import Path

import pytest
import typer

from chatbot.cli.configured import settings_with


def complaint(capsys: pytest.CaptureFixture[str], *, model_from: str = "--model", **flags: object) -> str:
    """Return what is said of settings that are refused."""
    with pytest.raises(typer.Exit) as ended:
        settings_with(model_from=model_from, **flags)
    assert ended.value.exit_code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        (
            "CHATBOT_PORT",
            "99999",
            "expected a whole number from 0 to 65535, got '99999'; change it, or leave it out for",
        ),
        ("CHATBOT_PORT", "", "expected a whole number from 0 to 65535, got ''; change it, or leave it out for 8765\n"),
        ("chatbot_slots", "0", "expected a whole number from 1 to 1024, got '0'; change it, or leave it out for 32\n"),
        ("CHATBOT_THREADS", "1000000000", "expected a whole number from 1 to 1024, got '1000000000'; change it, or"),
        (
            "CHATBOT_DRAIN_S",
            "inf",
            "expected a number from 0 to 86400, got 'inf'; change it, or leave it out for 20.0\n",
        ),
        ("CHATBOT_STUCK_AFTER_S", "nan", "expected a number above 0, up to 86400, got 'nan'"),
        ("CHATBOT_SPECULATIVE", "maybe", "expected true or false, got 'maybe'; change it, or leave it out for true\n"),
        ("CHATBOT_LOG_LEVEL", "loud", "expected debug, info, warning or error, got 'loud'"),
        ("CHATBOT_DEVICE", "gpu", "expected auto, cpu or cuda, got 'gpu'; change it, or leave it out for \"auto\"\n"),
        ("CHATBOT_HOME", "~nobody-here/x", "expected a folder, but there is no such user, got '~nobody-here/x'"),
        ("CHATBOT_HOST", "", "expected a text that is not empty, got ''"),
        ("CHATBOT_MODEL", "", "expected a text that is not empty, got ''"),
        ("CHATBOT_API_KEY", "my secret", "expected letters, digits, _ and - only; change it, or leave it out\n"),
        ("CHATBOT_ALLOW_ORIGIN", "chat.example", "'chat.example' is no origin: expected scheme://host"),
    ],
)
def test_a_bad_setting_is_named_with_what_was_expected(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], variable: str, value: str, told: str
) -> None:
    monkeypatch.setenv(variable, value)
    assert complaint(capsys).startswith(f"{variable}: {told}")


def test_of_all_that_say_a_setting_the_one_that_counts_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CHATBOT_IDLE_EXIT_S", "-1")
    assert complaint(capsys, idle_exit_s=-2).startswith("--idle-exit-s: ")
    assert complaint(capsys, model_from="--base", model="").startswith("--base: ")


def test_a_variable_that_sets_nothing_is_told_and_does_no_harm(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CHATBOT_PROT", "1")
    settings_with()
    said = "CHATBOT_PROT is ignored: there is no such setting; did you mean CHATBOT_PORT?\n"
    assert capsys.readouterr().err == said


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (b"port = ", ": expected settings in TOML, such as `port = 8765`: Invalid value (at "),
        (b'instructions = "\xff"', ": expected settings in TOML"),
        (b"port = 70000", ": port: expected a whole number from 0 to 65535, got 70000"),
        (b"checkpoint_s = nan", ": checkpoint_s: expected a number above 0, up to 3600, got nan"),
        (b"allow_host = [1]", ": allow_host: expected a list of texts, got 1"),
        (b"prot = 1", ": prot: there is no such setting; did you mean port?\n"),
    ],
)
def test_a_file_of_settings_that_says_nothing_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], said: bytes, told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "chatbot.toml").write_bytes(said)
    assert complaint(capsys).startswith(f"{tmp_path}/chatbot.toml{told}")
