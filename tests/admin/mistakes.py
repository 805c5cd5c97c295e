"""What people type wrongly: for each command, lines that would work, what each word in them is, and nonsense for it.

tests/admin/test_every_command.py goes through all of it.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

import click

from admin.main import COMMANDS, cli
from tests.admin.command_rows import ROWS, RUNNING


class Kind(StrEnum):
    """What a name is the name of."""

    PACKAGE = "foo"
    COLLECTION = "f27"
    COLLECTION_GROUP = "fedora"
    GROUP = "mygroup"
    USER = "someuser"
    BUILD = str(RUNNING)
    SETTING = "koji_config"
    WEBHOOK = "myhook"
    FILE = "names.txt"


# Whoever types these meant the name above; builds, settings and files are not guessed.
MISSPELLED = {
    Kind.PACKAGE: "foos",
    Kind.COLLECTION: "f277",
    Kind.COLLECTION_GROUP: "fedroa",
    Kind.GROUP: "mygruop",
    Kind.USER: "someusre",
    Kind.BUILD: "987654321",
    Kind.SETTING: "koji_confg",
    Kind.WEBHOOK: "myhok",
    Kind.FILE: "nams.txt",
}
NOT_GUESSED = {Kind.BUILD, Kind.SETTING, Kind.FILE}

# Lines that would work, besides those in ROWS: together they use every parameter that takes a name.
LINES = {
    "add-webhook": ["add-webhook new https://hooks.example.org/ -c f27 -g mygroup -p foo -d words -n"],
    "edit-webhook": ["edit-webhook myhook --url https://hooks.example.org/z -c f27 -g mygroup -p foo -d words -n"],
    "add-group": ["add-group new foo -m someuser -n"],
    "add-pkg": ["add-pkg -c f27 foo -n"],
    "compare-engines": ["compare-engines -c f27 foo --sample 5"],
    "config": ["config show koji_config"],
    "create-collection-group": ["create-collection-group epel -d EPEL -c f28 f27"],
    "create-group": ["create-group new --content-from-file names.txt -n"],
    "delete-collection": ["delete-collection f27 -n"],
    "edit-collection": ["edit-collection f27 -o 5"],
    "edit-collection-group": ["edit-collection-group fedora -c f28 f27 -n", "edit-collection-group fedora -d X -n"],
    "edit-group": ["edit-group mygroup --content-from-file names.txt -n", "edit-group mygroup --new-namespace him -n"],
    "explain": ["explain -c f27 foo"],
    "list-builds": ["list-builds -c f27 foo --limit 5"],
    "list-packages": ["list-packages -c f27 foo --group mygroup"],
    "log": ["log --user someuser --package foo --since 2026-01-01 --limit 5"],
    "queue": ["queue -c f27 --limit 5"],
    "reconcile": ["reconcile -c f27 --believe -n"],
    "refresh-group": [
        "refresh-group mygroup --from-file names.txt --force -n",
        "refresh-group mygroup --regex '^foo$' -n",
    ],
    "resolve": ["resolve -c f27 foo --timeout 5 -n"],
    "set-arch-override": ["set-arch-override -c f27 foo x86_64 -n", "set-arch-override --group mygroup i386 -n"],
    "set-priority": ["set-priority -c f27 foo 5 -n", "set-priority -c f27 --group mygroup 5 -n"],
    "show-package": ["show-package -c f27 foo"],
    "skip-resolution": ["skip-resolution -c f27 foo -n", "skip-resolution --group mygroup -n"],
    "track": [
        "track -c f27 foo -n",
        "track -c f27 --group mygroup -n",
        "track -c f27 --from-file names.txt -n",
    ],
    "untrack": [
        "untrack -c f27 foo -n",
        "untrack -c f27 --group mygroup -n",
        "untrack -c f27 --from-file names.txt -n",
    ],
}

# Parameters by what they take. ANY: whatever can be written; what makes sense is said by other tests.
ANY = None
PARAMETERS: dict[str, Kind | None] = {
    "arches": ANY,
    "bugzilla_product": ANY,
    "bugzilla_version": ANY,
    "build_group": ANY,
    "build_id": Kind.BUILD,
    "collection": Kind.COLLECTION,
    "content": Kind.FILE,
    "collections": Kind.COLLECTION,
    "contents": Kind.COLLECTION,
    "dest_tag": ANY,
    "description": ANY,
    "display_name": ANY,
    "distgit": ANY,
    "distgit_group": ANY,
    "distgit_user": ANY,
    "file": Kind.FILE,
    "group": Kind.GROUP,
    "groups": Kind.GROUP,
    "key": Kind.SETTING,
    "maintainers": ANY,  # of people who may never have logged in
    "master": Kind.COLLECTION,
    "more": Kind.COLLECTION,
    "names": Kind.PACKAGE,
    "new_name": ANY,
    "new_namespace": ANY,
    "package": Kind.PACKAGE,
    "packages": Kind.PACKAGE,
    "patterns": Kind.PACKAGE,
    "regex": ANY,
    "since": ANY,
    "target": ANY,
    "until": ANY,
    "url": ANY,
    "user": Kind.USER,
}
IN_COMMAND = {
    ("add-group", "group"): ANY,
    ("add-webhook", "name"): ANY,
    ("create-collection", "name"): ANY,
    ("create-collection-group", "name"): ANY,
    ("create-group", "group"): ANY,
    ("delete-collection", "name"): Kind.COLLECTION,
    ("delete-collection-group", "name"): Kind.COLLECTION_GROUP,
    ("edit-collection", "name"): Kind.COLLECTION,
    ("edit-collection-group", "name"): Kind.COLLECTION_GROUP,
    ("delete-webhook", "name"): Kind.WEBHOOK,
    ("edit-webhook", "name"): Kind.WEBHOOK,
    ("show-webhook", "name"): Kind.WEBHOOK,
    ("test-webhook", "name"): Kind.WEBHOOK,
    ("explain", "name"): Kind.PACKAGE,
    ("grant-admin", "name"): Kind.USER,
    ("list-builds", "name"): Kind.PACKAGE,
    ("revoke-admin", "name"): Kind.USER,
    ("revoke-tokens", "name"): Kind.USER,
    ("set-notice", "content"): ANY,
    ("show-collection", "name"): Kind.COLLECTION,
    ("show-package", "name"): Kind.PACKAGE,
}

# What nobody means to type. Numbers are nonsense for what takes names, and too large for what takes numbers.
EMPTY, BLANK, LONG, HUGE, NEGATIVE, SLASHES = "", "  ", "x" * 300, "9" * 40, "-1", "a/b/c"
ODD = ("a\0b", "a\nb", "a\x1b[2Jb", "a\udcffb", "a" * 10_000)
TEXTS = (EMPTY, BLANK, LONG)
NAMES = (*TEXTS, HUGE, SLASHES)
NUMBERS = (EMPTY, BLANK, LONG, HUGE, NEGATIVE, "1.5", "many")
# ... but for these, which mean something.
FINE = {
    ("config", "key", EMPTY): "all settings",
    ("create-collection-group", "contents", EMPTY): "no collection",
    ("create-collection-group", "more", EMPTY): "no collection",
    ("edit-collection", "order", NEGATIVE): "below all others",
    ("edit-collection-group", "contents", EMPTY): "no collection",
    ("edit-collection-group", "more", EMPTY): "no collection",
    ("set-arch-override", "arches", EMPTY): "what Koji and the source package allow",
    ("set-arch-override", "arches", BLANK): "the same",
    ("set-notice", "content", LONG): "a long notice",
    ("set-priority", "value", NEGATIVE): "put off",
}


@dataclass(frozen=True)
class Case:
    """A line that would work, and one of the words in it."""

    command: str
    words: tuple[str, ...]
    param: click.Parameter
    at: int

    def with_word(self, word: str) -> tuple[str, ...]:
        return (*self.words[: self.at], word, *self.words[self.at + 1 :])

    @property
    def kind(self) -> Kind | None:
        assert self.param.name is not None
        may_be_groups = any(param.name == "is_group" for param in leaf(self.words).params)
        if self.param.name == "names" and may_be_groups and "--group" in self.words:
            return Kind.GROUP
        return IN_COMMAND.get((self.command, self.param.name), PARAMETERS.get(self.param.name))


def lines(name: str) -> list[str]:
    """The lines of a command that would work; a dry run of those that write, as far as they have one."""
    return [ROWS[name].line, *LINES.get(name, ())]


def leaf(words: Sequence[str]) -> click.Command:
    """The command that a line runs."""
    found = cli.get_command(click.Context(cli), words[0])
    assert found is not None
    if isinstance(found, click.Group):
        found = found.get_command(click.Context(found), words[1])
        assert found is not None
    return found


def takes_words(param: click.Parameter) -> bool:
    return not (isinstance(param, click.Option) and (param.is_flag or param.is_bool_flag))


def passes_on(name: str) -> bool:
    """Whether a command's words are another program's."""
    return any(isinstance(param.type, click.types.UnprocessedParamType) for param in leaf([name, "show"]).params)


OURS = [name for name in COMMANDS if not passes_on(name)]


def cases(name: str) -> Iterator[Case]:
    """Every word that is a parameter's value, in every line of a command."""
    for line in lines(name) if not passes_on(name) else ():
        words = shlex.split(line)
        command = leaf(words)
        start = 2 if isinstance(cli.get_command(click.Context(cli), words[0]), click.Group) else 1
        parser = command.make_parser(click.Context(command))
        values, _, _ = parser.parse_args(words[start:])
        for param in command.params:
            found = values.get(param.name or "")
            for value in found if isinstance(found, list | tuple) else (found,):
                if takes_words(param) and isinstance(value, str):
                    yield Case(name, tuple(words), param, words.index(value, start))


def nonsense(case: Case) -> Iterator[str]:
    """What must be refused as a parameter's value. Where Koji is asked first, it is away: that will do, too."""
    if isinstance(case.param.type, click.types.StringParamType | click.File):
        takes_names = case.kind is not None or case.param.name in ("new_name", "name", "group", "maintainers")
        yield from NAMES if takes_names else TEXTS
    else:
        yield from NUMBERS


def created(case: Case, word: str) -> bool:
    """Whether a name is given, for which a number or several lines may do."""
    return case.kind is None and word == HUGE
