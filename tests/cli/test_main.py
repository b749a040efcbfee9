"""The root command: help without a framework, errors in a line or two, exit codes that mean something."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import click
import pytest

from greenroom.cli.main import main
from greenroom.cli.root import make_root
from greenroom.cli.session import report
from greenroom.cli.table import ENTRIES, SECTIONS, help_text
from greenroom.core import errors

COMMANDS = [entry for entry in ENTRIES.values() if not entry.target.startswith("verbs:")]  # have tests of their own


def command(entry):
    root = make_root()
    return root.get_command(click.Context(root), entry.name)


@pytest.mark.parametrize("entry", COMMANDS, ids=lambda entry: entry.name)
def test_the_table_says_what_the_command_says(entry):
    if not entry.hidden:
        first = command(entry).get_short_help_str(limit=200)
        assert first.rstrip(".") in entry.summary.rstrip(".") or entry.summary.rstrip(".") in first.rstrip("."), first


@pytest.mark.parametrize("entry", COMMANDS, ids=lambda entry: entry.name)
def test_every_command_explains_itself(entry, run):
    for path in _paths(command(entry), (entry.name,)):
        ran = run(*path, "--help")
        assert ran.code == 0
        assert ran.out.startswith(f"Usage: greenroom {' '.join(path)}")
        assert len(ran.out.split("\n\n")[1].strip()) > 10


def _paths(found, path):
    yield path
    if isinstance(found, click.Group):
        for name, sub in found.commands.items():
            yield from _paths(sub, (*path, name))


@pytest.mark.parametrize("words", [(), ("--help",), ("-h",), ("-q", "--help"), ("--output", "json", "-h")])
def test_help_is_one_page(run, words):
    ran = run(*words)
    assert (ran.code, ran.out) == (0, help_text())


def test_help_fits_a_terminal_and_names_every_command():
    text = help_text()
    assert max(len(line) for line in text.splitlines()) <= 80
    for _, entries in SECTIONS:
        for entry in entries:
            assert (f"\n  {entry.name} " in text) is not entry.hidden


def test_help_and_version_load_no_framework():
    code = "import sys; from greenroom.cli.main import main; main({!r}); assert 'click' not in sys.modules"
    for words in (["--help"], ["--version"]):
        done = subprocess.run([sys.executable, "-c", code.format(words)], capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("words", "code", "err"),
    [
        (("promot",), 2, "Error: there is no command 'promot'. Did you mean 'promote'?\n"),
        (("xyzzy",), 2, "Error: there is no command 'xyzzy'. `greenroom --help` lists the commands.\n"),
        (("promote",), 2, "Error: Missing argument 'MODEL'.\nHint: `greenroom promote --help` shows what it takes.\n"),
        (
            ("promote", "m", "1"),
            2,
            "Error: Missing option '--to'.\nHint: `greenroom promote --help` shows what it takes.\n",
        ),
        (
            ("list", "--url", "http://a", "--data", "b"),
            2,
            "Error: both a URL and a data folder are given.\nHint: Give one of --url and --data.\n",
        ),
    ],
)
def test_wrong_lines(run, words, code, err):
    ran = run(*words)
    assert (ran.code, ran.out, ran.err) == (code, "", err)


def test_an_unknown_option(run):
    ran = run("list", "--bogus")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("Error: No such option")  # click words the rest in its own way
    assert ran.err.endswith("\nHint: `greenroom list --help` shows what it takes.\n")


def test_a_group_alone_shows_its_help(run):
    ran = run("stages")
    assert ran.code in (0, 2)  # as the installed click has it
    assert "Usage: greenroom stages" in ran.out + ran.err


def test_no_registry_says_all_ways(run):
    ran = run("list")
    assert ran.code == 2
    assert ran.err.startswith("Error: no registry is named, and no folder .greenroom is here or above.\nHint: ")
    assert len(ran.err.splitlines()) == 2


@pytest.mark.parametrize("words", [("--url", "http://127.0.0.1:1", "list"), ("list", "--url", "http://127.0.0.1:1")])
def test_options_of_all_commands_stand_anywhere(run, words):
    ran = run(*words)
    assert ran.code == 6
    assert ran.err.startswith("Error: http://127.0.0.1:1 (given as --url) cannot be reached: ")


def test_passwords_are_not_printed(run):
    for words in (("list",), ("info",)):
        ran = run(*words, "--url", "http://ana:s3cret@127.0.0.1:1")
        assert ran.code == 6
        assert "s3cret" not in ran.out + ran.err


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (errors.NotFound("no model 'm'.", hint="List\nthem."), 4, "Error: no model 'm'.\nHint: List them.\n"),
        (errors.Forbidden("no."), 3, "Error: no.\n"),
        (errors.AlreadyExists("it is."), 5, "Error: it is.\n"),
        (errors.IntegrityFailure("\x1b[2J"), 7, "Error: \\x1b[2J\n"),
        (FileNotFoundError(2, "No such file or directory", "x"), 2, "Error: No such file or directory: x\n"),
        (OSError(28, "No space left on device", "x"), 6, "Error: No space left on device: x\n"),
        (KeyboardInterrupt(), 130, ""),
        (
            KeyError("x"),
            70,
            "Error: KeyError: 'x'\nHint: this is a bug in Greenroom; run again with GREENROOM_DEBUG=1"
            " and report what it shows.\n",
        ),
    ],
)
def test_errors_become_lines_and_codes(capsys, monkeypatch, error, code, said):
    monkeypatch.delenv("GREENROOM_DEBUG", raising=False)
    assert report(error) == code
    assert capsys.readouterr().err == said


def test_the_traceback_is_shown_on_request(monkeypatch, capsys):
    monkeypatch.setenv("GREENROOM_DEBUG", "1")
    assert main(["list", "--url", "http://127.0.0.1:1"]) == 6
    assert "Traceback" in capsys.readouterr().err


def test_a_bug_is_told_without_a_traceback(run, monkeypatch):
    monkeypatch.setattr("greenroom.client.connect", lambda **_: 1 / 0)
    ran = run("list")
    assert ran.code == 70
    assert ran.err.startswith("Error: ZeroDivisionError: division by zero\nHint: this is a bug")


def test_ctrl_c(run, monkeypatch):
    def interrupt(**_):
        raise KeyboardInterrupt

    monkeypatch.setattr("greenroom.client.connect", interrupt)
    ran = run("list")
    assert (ran.code, ran.out, ran.err.strip()) == (130, "", "")


@pytest.mark.skipif(os.name == "nt", reason="a pipe as POSIX breaks it")
@pytest.mark.parametrize("words", [["--help"], ["completion", "bash"], ["promote", "--help"]])
def test_a_broken_pipe_is_quiet(words):
    code = f"import sys; from greenroom.cli.main import main; sys.stdin.read(); sys.exit(main({words!r}))"
    running = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert running.stdout is not None
    running.stdout.close()
    _, err = running.communicate(timeout=30)
    assert err == b""
    assert running.returncode == 141


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script(run, shell):
    ran = run("completion", shell)
    assert ran.code == 0
    assert "_GREENROOM_COMPLETE" in ran.out


@pytest.mark.parametrize(
    ("words", "current", "offered"),
    [
        ("greenroom pro", 1, {"promote"}),
        ("greenroom promote ch", 2, {"churn"}),
        ("greenroom lifecycle ", 2, {"apply", "check", "history", "list", "show", "use"}),
    ],
)
def test_completion(churn, lonely, words, current, offered):
    environment = {
        **os.environ,
        "_GREENROOM_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(current),
    }
    done = subprocess.run(
        [sys.executable, "-m", "greenroom"], env=environment, capture_output=True, text=True, timeout=30, cwd=lonely
    )
    assert {line.partition(",")[2] for line in done.stdout.splitlines()} == offered
    assert done.stderr == ""


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_a_server_ends_cleanly_and_owns_its_folder(run, lonely):
    running = subprocess.Popen(
        [sys.executable, "-m", "greenroom", "server", "--data", "r", "--port", "0"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert running.stdout is not None
    url = running.stdout.readline().split()[-1]
    assert run("create", "m", "--url", url).code == 0
    assert run("list", "--data", "r").data[0]["name"] == "m"
    second = run("server", "--data", "r", "--port", "0")
    assert second.code == 6
    assert url in second.err
    running.send_signal(signal.SIGTERM)
    _, err = running.communicate(timeout=20)
    assert (running.returncode, err) == (0, "")
    assert run("list", "--data", "r").data[0]["name"] == "m"
