"""docs/configuration.md, written from the schema: `python -m koschei.config` prints it."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from koschei.config import describe
from koschei.config.retired import RETIRED
from koschei.config.schema import Config
from koschei.config.section import Section

INTRODUCTION = """\
# Configuration

<!-- Written by `make docs` from koschei/config; change the descriptions there. -->

Settings are TOML. All programs read the same ones:

1. `KOSCHEI_CONFIG` names files and folders, separated by colons; unset, it is `/etc/koschei`, which may be absent.
   What is named and not there is an error.
2. In a folder, the files whose names end in `.toml` are read in the order of their names. Names that begin with a dot
   are left out, so a mounted Secret or ConfigMap works as it is. Folders inside are not entered: name them too.
3. Later files win. Tables are merged key by key; anything else, a list too, is replaced as a whole.
4. The environment wins over files: `KOSCHEI__SECTION__KEY=value`.

Unknown keys, values of the wrong kind and values out of range are errors. All problems are reported together, each
with the file or variable it is in; nothing starts with settings it does not understand. `koschei-admin config show`
prints the settings in force, without secrets.

## Settings from the environment

Two underscores separate the parts of the key; capitals do not matter, and `_` stands for `-` too. The value is read
as TOML where that gives what the setting expects, else it is taken as text:

    KOSCHEI__KOJI_CONFIG__MAX_BUILDS=10
    KOSCHEI__DATABASE_CONFIG__PASSWORD=12345            text is expected, so this is text
    KOSCHEI__KOJI_CONFIG__BUILD_ARCHES=["x86_64", "aarch64"]
    KOSCHEI__FEDMSG_PUBLISHER__ENABLED=true
    KOSCHEI__KOJI_CONFIG__LOGIN_ARGS__KEYTAB=/etc/keytabs/koschei
    KOSCHEI__LINKS={Dist-git = "https://src.fedoraproject.org/rpms/{package.name}"}

In the free tables (`login_args`, `session_opts`, `build_opts`, `links`) a name of capitals only means the same name in
lower case, and a value that is meant as text but looks like a number needs quotes: `'"12345"'`.
"""

RETIRED_HEAD = """\
## Settings that have gone

The key names are those of the Koschei before this one, whose files were Python. These are not settings any more; using
one is an error that says the same. A `*` stands for any name.

| setting | why |
|---|---|
"""


def reference() -> str:
    """The whole page, in Markdown."""
    parts = [INTRODUCTION, *_section(Config, ()), RETIRED_HEAD + _retired_rows()]
    return "\n".join(part.rstrip("\n") + "\n" for part in parts)


def _section(section: type[Section], prefix: tuple[str, ...]) -> Iterator[str]:
    fields = describe.fields_of(section)
    title = f"`[{'.'.join(prefix)}]`" if prefix else "The top level"
    settings = {name: field for name, field in fields.items() if not describe.section_of(field.annotation)}
    text = f"## {title}\n\n{inspect.cleandoc(section.__doc__ or '')}\n"
    if settings:
        rows = (_row(".".join((*prefix, name)), field) for name, field in settings.items())
        text += "\n| setting | value | default | |\n|---|---|---|---|\n" + "".join(rows)
    yield text
    tables = {name: table for name, field in fields.items() if (table := describe.section_of(field.annotation))}
    if len(tables) > 1 and len(set(tables.values())) == 1:
        yield _alike(section, prefix, tables)
        return
    for name, table in tables.items():
        yield from _section(table, (*prefix, name))


def _alike(section: type[Section], prefix: tuple[str, ...], tables: dict[str, type[Section]]) -> str:
    """Tables of the same kind (the services) in one: what differs is the defaults."""
    defaults = {name: describe.fields_of(section)[name].default for name in tables}
    text = "| setting | value | default | |\n|---|---|---|---|\n"
    for key, field in describe.fields_of(next(iter(tables.values()))).items():
        for name in tables:
            text += _row(".".join((*prefix, name, key)), field, getattr(defaults[name], key))
    return text


def _row(key: str, field: FieldInfo, default: Any = None) -> str:
    if default is None:
        default = field.get_default(call_default_factory=True)
    value = describe.expectation(describe.annotation_of(field))
    return f"| `{key}` | {_cell(value)} | {_cell(_shown(default))} | {_cell(field.description or '')} |\n"


def _retired_rows() -> str:
    return "".join(f"| `{key}` | {_cell(reason)} |\n" for key, reason in RETIRED.items())


def _shown(default: Any) -> str:
    if default is None:
        return "unset"
    if isinstance(default, SecretStr):
        default = default.get_secret_value()
    if isinstance(default, dict):
        return "`{}`" if not default else "; ".join(f"{key}: `{value}`" for key, value in default.items())
    if isinstance(default, float) and default.is_integer():
        default = int(default)
    return f"`{json.dumps(str(default) if isinstance(default, Path) else default)}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
