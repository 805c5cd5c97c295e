"""Loads every module of ours, and tries what the distribution brings: an image that lacks a part is not built."""

from __future__ import annotations

import importlib
import pkgutil

PACKAGES = ("koschei", "backend", "frontend", "admin")
FROM_THE_DISTRIBUTION = ("libdnf5", "gssapi", "requests_gssapi")
# These do something when they are loaded.
PROGRAMS = ("frontend.wsgi", "koschei.config.__main__")


def main() -> None:
    """Raises what the module that cannot be loaded raises."""
    names = list(FROM_THE_DISTRIBUTION)
    for package in PACKAGES:
        found = importlib.import_module(package)
        names += [module.name for module in pkgutil.walk_packages(found.__path__, f"{package}.")]
    for name in names:
        if name not in PROGRAMS:
            importlib.import_module(name)
    # Importing it is not enough: it needs files of RPM's, too (Fedora's package rpm, Debian's rpm-common).
    importlib.import_module("libdnf5.base").Base()
    print(f"ok      modules: {len(names)} can be loaded")


if __name__ == "__main__":
    main()
