"""What people and programs see: plain tables, JSON, and no stored text that drives a terminal."""

from __future__ import annotations

import json

import pytest

from greenroom.cli import output
from greenroom.cli.output import Output, choose_output, plain_table, size, visible, when
from greenroom.core.model import File

PLAIN, COLOR, JSON = Output("table", color=False), Output("table", color=True), Output("json", color=False)


def test_a_plain_table_can_be_grepped():
    text = plain_table(("Version", "Stage"), [("10", "Production"), ("9", "-")])
    assert text == "Version  Stage\n10       Production\n9        -\n"


def test_wide_and_combining_characters_keep_columns_straight():
    lines = plain_table(("Name", "N"), [("模型", "1"), ("e\u0301t", "2")]).splitlines()
    assert [line.rstrip()[-1] for line in lines[1:]] == ["1", "2"]
    assert lines[1] == "模型  1"
    assert lines[2] == "e\u0301t    2"


def test_missing_facts_are_shown_as_missing(capsys):
    PLAIN.table(("A", "B"), [(None, ""), (1.0, 0.123456789)], [])
    assert capsys.readouterr().out == "A  B\n-  -\n1  0.123457\n"


def test_an_empty_table_is_a_note(capsys):
    PLAIN.table(("A",), [], [], empty="No models.")
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "No models.\n")
    Output("table", color=False, quiet=True).table(("A",), [], [])
    assert capsys.readouterr() == ("", "")


def test_json_is_the_data(capsys):
    JSON.table(("A",), [("never",)], [File("ü", "d", 1)])
    assert json.loads(capsys.readouterr().out) == [{"path": "ü", "digest": "d", "size_bytes": 1}]
    JSON.result({"a": None}, "never")
    assert json.loads(capsys.readouterr().out) == {"a": None}


def test_fields_indent_what_has_several_lines(capsys):
    PLAIN.fields([("name", "churn"), ("metrics", "a = 1\nb = 2"), ("run", None)], {})
    assert capsys.readouterr().out == "name     churn\nmetrics  a = 1\n         b = 2\nrun      -\n"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ü 模型 🚀", "plain ü 模型 🚀"),
        ("\x1b[31mred\x07", "\\x1b[31mred\\x07"),
        ("\x9b2J", "\\x9b2J"),
        ("a\rb\x00", "a\\rb\\x00"),
        ("\u202eevil", "\\u202eevil"),
        ("family 👨\u200d👩", "family 👨\u200d👩"),
        ("two\nlines", "two\nlines"),
    ],
)
def test_control_characters_are_written_out(text, shown):
    assert visible(text) == shown


def test_stored_text_drives_no_terminal(capsys):
    evil = "\x1b]0;owned\x07[bold red]x[/]"
    COLOR.table(("A",), [(evil,)], [])
    PLAIN.table(("A",), [(evil,)], [])
    PLAIN.fields([("a", evil)], {})
    said = capsys.readouterr().out
    assert "\x07" not in said
    assert "\x1b]" not in said
    assert said.count("[bold red]x[/]") == 3


@pytest.mark.parametrize(
    ("bytes_", "text"),
    [(None, "-"), (0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (1 << 30, "1.0 GiB"), (1 << 70, "1048576.0 PiB")],
)
def test_size(bytes_, text):
    assert size(bytes_) == text


def test_when():
    assert when(None) == "-"
    assert len(when(1_795_255_200_000)) == len("2026-11-21 10:00:00")
    assert when(1 << 99) == str(1 << 99)


@pytest.mark.parametrize(
    ("mode", "terminal", "env", "chosen"),
    [
        (None, True, {}, ("table", True)),
        (None, False, {}, ("json", False)),
        ("table", False, {}, ("table", False)),
        ("json", True, {}, ("json", True)),
        (None, True, {"NO_COLOR": "1"}, ("table", False)),
        (None, True, {"TERM": "dumb"}, ("table", False)),
    ],
)
def test_the_form_is_chosen_once(monkeypatch, mode, terminal, env, chosen):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(output, "is_terminal", lambda stream: terminal)
    found = choose_output(mode)
    assert (found.mode, found.color) == chosen
    assert not choose_output(mode, no_color=True).color


def test_a_closed_stream_is_no_terminal(tmp_path):
    stream = (tmp_path / "f").open("w")
    stream.close()
    assert not output.is_terminal(stream)
