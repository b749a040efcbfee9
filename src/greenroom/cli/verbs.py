"""`greenroom models …` and, through the plugin, the literal `mlflow models …`: the commands people already type.

One click command takes all the words; `verbs_ask` says what they mean and `verbs_run` does it. Source: cli-verbs.
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Sequence
from typing import Any

import click
from click.shell_completion import CompletionItem

from greenroom.cli.session import Session, report, say, session_of
from greenroom.cli.verbs_ask import Ask, interpret
from greenroom.cli.verbs_tables import CANONICAL_FLAG, FLAG_ROWS, FORMS, HELP, METAVARS, SPELLINGS, Form, Spelling
from greenroom.cli.verbs_words import Usage
from greenroom.core.errors import NotFound

EXIT_UNKNOWN_STAGE = 1  # rule 4 sets it apart from other names that do not exist


def execute(words: Sequence[str], session: Session, *, program: str = "greenroom") -> int:
    """Do what the words after `models` say and return the exit code; everything that goes wrong is one line."""
    asked = interpret(words)
    if isinstance(asked, Usage):
        say(f"Error: {asked.message}")
        if asked.hint:
            say(f"Hint: {asked.hint}")
        return asked.exit_code
    _take_over(asked, session)
    if asked.hint and not session.quiet:
        say(f"Hint: the canonical form is: {program} {asked.hint}")
    try:
        code = _run(asked, session)
        sys.stdout.flush()
        return code
    except NotFound as error:
        return _unknown_stage(error) if error.details.get("kind") == "stage" else report(error)
    except (KeyboardInterrupt, Exception) as error:  # noqa: BLE001 - below MLflow nobody else keeps a traceback away
        return report(error)


def _take_over(asked: Ask, session: Session) -> None:
    session.quiet = session.quiet or asked.quiet
    if asked.url or asked.data:
        session.url, session.data = asked.url, asked.data
    session.output = asked.output or session.output


def _run(asked: Ask, session: Session) -> int:
    from dataclasses import replace

    from greenroom.cli.verbs_run import run

    settled = replace(asked, output=session.output, quiet=session.quiet, url=session.url, data=session.data)
    return run(settled, session.registry, sys.stdout, sys.stderr)


def _unknown_stage(error: NotFound) -> int:
    say(error.message)
    if error.hint:
        say(error.hint)
    return EXIT_UNKNOWN_STAGE


class WordsCommand(click.Command):
    """A command that leaves all its words to the interpreter; `before` are those that its name stands for."""

    def __init__(self, name: str, *, before: Sequence[str] = (), program: str = "greenroom", **settings: Any) -> None:
        super().__init__(name, add_help_option=False, **settings)
        self._before, self._program = list(before), program

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep the words as they are."""
        ctx.args = list(args)
        return ctx.args

    def invoke(self, ctx: click.Context) -> Any:
        """Run the words and leave with their exit code."""
        words = [*self._before, *ctx.args]
        asked = interpret(words)
        if isinstance(asked, Ask) and asked.operation == "help":
            click.echo(help_text(self._program, asked.verb))
            return
        ctx.exit(execute(words, session_of(ctx), program=self._program))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Offer canonical verbs first, then the flags of the one that was typed."""
        words = [*self._before, *ctx.args]
        if incomplete.startswith("-"):
            spelled = SPELLINGS.get(words[0].lower()) if words else None
            names = ("name", *FORMS[spelled.operation].accepts) if spelled else ("url", "data", "output")
            offered = [CANONICAL_FLAG[name] for name in names]
        else:
            offered = [] if words else sorted({form.verbs[0].split()[0] for form in FORMS.values()})
        return [CompletionItem(word) for word in offered if word.startswith(incomplete)]


def help_text(program: str, verb: str = "help") -> str:
    """Return the help page of `models`, with the flags of `verb` when one is asked about."""
    head = f"Usage: {program} models COMMAND [WORDS]...\n\n"
    spelled = SPELLINGS.get(verb.replace(" ", "-"))
    if spelled is None or spelled.operation == "help":
        return head + HELP.replace("\b\n", "").rstrip()
    return _verb_help(program, spelled)


def _verb_help(program: str, spelled: Spelling) -> str:
    """Return the page of one verb: its canonical form, every flag with its other spellings, the other verbs."""
    form, preset = FORMS[spelled.operation], spelled.preset
    canonical = form.verbs[0]
    if spelled.operation == "decide":  # approve and reject share a form
        canonical = preset.get("decision", canonical)
    set_here = {name: value for name, value in preset.items() if name in form.accepts}
    needs = [name for name in form.needs if name not in set_here]
    usage = [f"{program} models {canonical}"]
    usage += [f"{_flag(form, name)} {value}" for name, value in set_here.items()]
    usage += ["NAME", "3", "5"] if form.bare_words else [_flag_and_value(form, name) for name in needs]
    lines = [f"Usage: {' '.join(usage)} [OPTIONS]", "", "Options:"]
    for name in dict.fromkeys((*needs, *form.accepts, "output")):
        if (spelled.operation, name) == ("register", "version"):  # understood, to be refused with a reason
            continue
        shown, own = _flag_and_value(form, name), _flag(form, name)
        also = " ".join(flag for flag in FLAG_ROWS[name].split() if flag != own)
        lines.append(f"  {shown:<27}  {also and f'also {also}'}".rstrip())
    others = sorted(verb for verb, each in SPELLINGS.items() if each == spelled and verb != canonical)
    if others:
        lines += ["", *textwrap.wrap(f"Other spellings: {', '.join(others)}.", 100, break_on_hyphens=False)]
    return "\n".join((*lines, "", "`greenroom models --help` shows all canonical forms."))


def _flag(form: Form, name: str) -> str:
    return form.flags.get(name, CANONICAL_FLAG[name])


def _flag_and_value(form: Form, name: str) -> str:
    return " ".join(filter(None, (_flag(form, name), METAVARS.get(name, ""))))


class _Singular(click.Command):
    """`model …`, refused: guessing that `models` was meant would make two commands of one."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Refuse, whatever follows."""
        say("Error: No such command 'model'. Did you mean 'models'?")
        ctx.exit(2)


models_command = WordsCommand("models", help=HELP, short_help="The `mlflow models …` commands people already type.")
models = models_command
model = _Singular("model", hidden=True, add_help_option=False)
