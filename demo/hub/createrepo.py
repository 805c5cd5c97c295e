"""Imports createrepo_c without the complaint that its librpm makes on machines that have no RPM.

librpm reads its configuration once, while createrepo_c is imported, and writes an error when there is none. Nothing
here needs that configuration, so an empty one does.
"""

from __future__ import annotations

import importlib
import os
import tempfile
from pathlib import Path
from typing import Any

_SYSTEM = Path("/usr/lib/rpm/rpmrc")


def _load() -> Any:
    if _SYSTEM.exists() or "RPM_CONFIGDIR" in os.environ:
        return importlib.import_module("createrepo_c")
    with tempfile.TemporaryDirectory() as folder:
        for name in ("rpmrc", "macros"):
            (Path(folder) / name).touch()
        os.environ["RPM_CONFIGDIR"] = folder
        try:
            return importlib.import_module("createrepo_c")
        finally:
            del os.environ["RPM_CONFIGDIR"]


createrepo_c = _load()
