"""Reading settings: TOML files and folders in the order they are named, the environment on top, then validation.

Every problem that can be found is reported at once, each with the file or variable it comes from.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from koschei.config import describe, problems
from koschei.config.schema import Config
from koschei.config.section import Section

DEFAULT_PATH = Path("/etc/koschei")
PREFIX = "KOSCHEI__"

Key = tuple[str, ...]
Tree = dict[str, Any]


@dataclass
class Sources:
    """The merged settings, and which file or variable each key comes from."""

    tree: Tree = field(default_factory=dict)
    origin: dict[Key, str] = field(default_factory=dict)

    def merge(self, tree: Mapping[str, Any], source: str) -> None:
        """Lay `tree` over what is there: tables are merged, anything else is replaced."""
        self._merge(self.tree, tree, source, ())

    def _merge(self, into: Tree, tree: Mapping[str, Any], source: str, prefix: Key) -> None:
        for name, value in tree.items():
            key = (*prefix, name)
            self.origin[key] = source
            if isinstance(value, Mapping):
                if not isinstance(into.get(name), dict):
                    into[name] = {}
                self._merge(into[name], value, source, key)
            else:
                into[name] = value

    def of(self, key: Sequence[str]) -> str:
        """Where a key, or the nearest table around it, comes from."""
        for length in range(len(key), 0, -1):
            if source := self.origin.get(tuple(key[:length])):
                return source
        return "the settings"


def load(paths: Sequence[Path] | None = None, environ: Mapping[str, str] = os.environ) -> Config:
    """The settings in `paths` (files or folders), with the environment on top.

    Without `paths`, they are what KOSCHEI_CONFIG names (separated by colons), else /etc/koschei if it is there. Raises
    ConfigError that lists all problems, one a line.
    """
    sources = Sources()
    failures: list[str] = []
    for path in _files(paths, environ, failures):
        if (tree := _read(path, failures)) is not None:
            sources.merge(tree, str(path))
    if failures:
        raise problems.as_error(failures)
    for variable in sorted(environ):
        if variable.upper().startswith(PREFIX):
            _merge_variable(sources, variable, environ[variable])
    try:
        return Config.model_validate(sources.tree)
    except ValidationError as error:
        found = problems.explain(error, sources.of)
    raise problems.as_error(found)


def is_anything_set(paths: Sequence[Path] | None = None, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether `load` finds any settings, good or bad: without any, all of them are the defaults."""
    named = paths or environ.get("KOSCHEI_CONFIG") or DEFAULT_PATH.exists()
    return bool(named) or any(variable.upper().startswith(PREFIX) for variable in environ)


def _files(paths: Sequence[Path] | None, environ: Mapping[str, str], failures: list[str]) -> list[Path]:
    """The files to read, in order; what was named and is not there is added to `failures`."""
    named_by = ""
    if paths is None:
        paths = [Path(name) for name in environ.get("KOSCHEI_CONFIG", "").split(":") if name]
        named_by = " (named in KOSCHEI_CONFIG)"
        if not paths:
            paths = [DEFAULT_PATH] if DEFAULT_PATH.exists() else []
            named_by = ""
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            try:
                # Names that begin with a dot are how a mounted Secret swaps versions; they are not settings.
                inside = (entry for entry in path.iterdir() if entry.suffix == ".toml" and entry.name[0] != ".")
                files += sorted((entry for entry in inside if not entry.is_dir()), key=lambda entry: entry.name)
            except OSError as error:
                failures.append(f"{path}{named_by}: cannot be read: {error.strerror}")
        elif path.exists() or path.is_symlink():
            files.append(path)
        else:
            failures.append(f"{path}{named_by}: there is no such file or folder")
    return files


def _read(path: Path, failures: list[str]) -> Tree | None:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        failures.append(f"{path}: cannot be read: {error.strerror}")
        return None
    except UnicodeDecodeError as error:
        failures.append(f"{path}: is not UTF-8 text (byte {error.start})")
        return None
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        hint = ""
        if any(line.replace(" ", "").startswith("config={") for line in text.splitlines()):
            hint = "; it looks like a Python file of the old Koschei: write it as TOML, the key names stay"
        failures.append(f"{path}: is not valid TOML: {error}{hint}")
        return None


def _merge_variable(sources: Sources, variable: str, text: str) -> None:
    key = _key_of(variable)
    tree: Any = _value_of(text, key)
    for part in reversed(key):
        tree = {part: tree}
    sources.merge(tree, f"environment variable {variable}")


def _key_of(variable: str) -> Key:
    """The key that a variable's name stands for; parts that are not known are left for validation to report."""
    section: type[Section] | None = Config
    key: list[str] = []
    for part in variable[len(PREFIX) :].split("__"):
        named = describe.field_named(section, part) if section else None
        # In a free table (login_args), names are the user's: capitals only are taken for lower case.
        key.append(named[0] if named else part.lower() if part == part.upper() else part)
        section = describe.section_of(named[1].annotation) if named else None
    return tuple(key)


def _value_of(text: str, key: Key) -> Any:
    """The value a variable's text stands for: TOML when that gives what the setting expects, else the text itself."""
    try:
        document = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    if set(document) != {"value"}:  # a line break brought more than a value
        return text
    value = document["value"]
    target, rest = describe.find(key)
    if isinstance(target, FieldInfo) and describe.wants_text(target, bool(rest)) and not isinstance(value, str):
        return text
    return value
