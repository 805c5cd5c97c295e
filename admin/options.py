"""How commands take their arguments: shared options, help with examples, and three things that click does otherwise.

Negative numbers are arguments, not options. A yes/no option takes `true` and `false` too, and means it. `--collection`
is understood before and after the command. No word may be endless, or have characters that a terminal would act on.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import click

from admin.context import Admin
from admin.output import AS_JSON

F = TypeVar("F", bound=Callable[..., Any])

NEGATIVE = re.compile(r"-\d+(\.\d+)?")
# PostgreSQL counts rows with 64 bits; nobody reads as many.
COUNT = click.IntRange(1, 10**9)
COUNT_OR_ALL = click.IntRange(0, 10**9)
SECONDS = click.IntRange(1, 10**7)
LONGEST_WORD = 4096
YES = {"true", "yes", "on", "1"}
NO = {"false", "no", "off", "0"}

pass_admin = click.make_pass_decorator(Admin)


class Command(click.Command):
    """A command with `examples`, which end its help; its words may have `lines`."""

    def __init__(self, *args: Any, examples: Iterable[str] = (), lines: bool = False, **kwargs: Any) -> None:
        self.examples = tuple(examples)
        self.lines = lines
        super().__init__(*args, **kwargs)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        refuse_odd_words(args, ctx, "\n\t" if self.lines else "")
        # click would take -5 for an option; behind a --, everything is an argument anyway.
        ctx.ignore_unknown_options = any(NEGATIVE.fullmatch(arg) for arg in args)
        try:
            rest = super().parse_args(ctx, _spelled_out(args, self.params))
        except click.UsageError:
            ctx.close()  # nobody else closes the files that were opened before
            raise
        for value in ctx.params.values():
            for word in value if isinstance(value, tuple) else (value,):
                if ctx.ignore_unknown_options and "--" not in args and isinstance(word, str):
                    _refuse_option(word, args, ctx)
        return rest

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        write_examples(formatter, self.examples)


class Group(click.Group):
    """A group of commands that are `Command`s."""

    command_class = Command
    group_class = type

    def __init__(self, *args: Any, examples: Iterable[str] = (), **kwargs: Any) -> None:
        self.examples = tuple(examples)
        super().__init__(*args, **kwargs)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        write_examples(formatter, self.examples)


def write_examples(formatter: click.HelpFormatter, examples: Iterable[str]) -> None:
    """The last part of a help text."""
    if examples:
        with formatter.section("Examples"):
            for example in examples:
                formatter.write(f"{'':{formatter.current_indent}}{example}\n")


def refuse_odd_words(words: Iterable[str], ctx: click.Context, allowed: str = "") -> None:
    """Raise UsageError for control characters, bytes that are not UTF-8 (Python has them as surrogates), and no end."""
    for word in words:
        if len(word) > LONGEST_WORD:
            raise click.UsageError(f"'{word[:60]}...' is too long: {len(word)} characters", ctx)
        for character in word:
            if unicodedata.category(character) in ("Cc", "Cs") and character not in allowed:
                what = "is not UTF-8" if character >= "\ud800" else f"has the control character {character!r}"
                raise click.UsageError(f"{word[:60]!r} {what}", ctx)


def _refuse_option(word: str, args: list[str], ctx: click.Context) -> None:
    """Options that nobody knows are let through with negative numbers: find them."""
    if len(word) > 1 and word.startswith("-") and word in args and not NEGATIVE.fullmatch(word):
        raise click.NoSuchOption(word, ctx=ctx)


def _spelled_out(args: list[str], params: Iterable[click.Parameter]) -> list[str]:
    """`--flag false` and `--flag=false` as `--no-flag`, `--flag true` as `--flag`; the rest as it is."""
    flags = {
        param.opts[0]: param.secondary_opts[0]
        for param in params
        if isinstance(param, click.Option) and param.is_bool_flag and param.secondary_opts
    }
    result: list[str] = []
    words = iter(enumerate(args))
    for index, word in words:
        if word == "--":
            return result + args[index:]
        name, equals, value = word.partition("=")
        following = args[index + 1] if index + 1 < len(args) else ""
        if name in flags and not equals and following.lower() in YES | NO:
            value = following
            next(words)
        if name in flags and value.lower() in YES | NO:
            word = name if value.lower() in YES else flags[name]
        result.append(word)
    return result


def collection_option(*, required: bool, help: str = "The collection that is meant, by its name.") -> Callable[[F], F]:
    """`-c/--collection`, also understood before the command; its value is found in Admin.collection."""

    def store(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
        admin = ctx.find_object(Admin)
        if admin is None or ctx.resilient_parsing:
            return
        if value is not None and admin.collection not in (None, value):
            raise click.UsageError(f"--collection is {admin.collection} before the command and {value} after it", ctx)
        admin.collection = value if value is not None else admin.collection
        if required and admin.collection is None:
            raise click.MissingParameter(ctx=ctx, param=param)

    # show_default would tell click to ask for one
    note = "  [required]" if required else ""
    return click.option("-c", "--collection", metavar="NAME", callback=store, expose_value=False, help=help + note)


def takes_collection(command: click.Command) -> bool:
    """Whether a command, or any inside it, knows which collection to work in."""
    if isinstance(command, click.Group):
        return any(takes_collection(inner) for inner in command.commands.values())
    return any(param.name == "collection" for param in command.params)


def json_option(function: F) -> F:
    """`--json`: print data for programs."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")(function)


def json_messages(function: F) -> F:
    """`--json` for a command that says what it did: `{"messages": [...], "dry_run": false}` (admin.output.say)."""

    def store(ctx: click.Context, param: click.Parameter, value: bool) -> None:
        ctx.meta[AS_JSON] = value

    return click.option(
        "--json", is_flag=True, expose_value=False, callback=store, help="Print what was done as JSON, for programs."
    )(function)


def dry_run_option(function: F) -> F:
    """`--dry-run`."""
    return click.option("-n", "--dry-run", is_flag=True, help="Show what would be done, and do nothing.")(function)


def force_option(function: F) -> F:
    """`--force`."""
    return click.option("-f", "--force", is_flag=True, help="Do not ask.")(function)


config_option = click.option(
    "--config",
    "config_paths",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="File or folder of settings; later ones win. Without it: KOSCHEI_CONFIG, else /etc/koschei.",
)
