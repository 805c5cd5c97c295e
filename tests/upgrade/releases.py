"""Other versions of Koschei: copies of this tree with a version and revisions of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
PARTS = ("koschei", "backend", "frontend", "admin", "migrations")

REVISION = '''"""{words}."""

from alembic import op

from koschei.db.migrator import drop_index_concurrently, index_concurrently

revision = "{name}"
down_revision = "{before}"
phase = "{phase}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    {up}


def downgrade() -> None:
    {down}
'''


def add_revision(migrations: Path, name: str, before: str, phase: str, up: str, down: str = "pass") -> Path:
    """Write a revision that comes after `before`; `up` and `down` are lines of Python."""
    path = migrations / "versions" / f"{name}_example.py"
    words = f"An example of a {phase}-deploy revision"
    path.write_text(REVISION.format(name=name, before=before, phase=phase, up=up, down=down, words=words))
    return path


@dataclass(frozen=True)
class Release:
    """A tree that a version of Koschei runs from."""

    folder: Path
    version: str

    @classmethod
    def copy(cls, folder: Path, version: str, parts: tuple[str, ...] = PARTS) -> Release:
        """This tree under another version's name."""
        ignored = shutil.ignore_patterns("__pycache__", ".run", ".*_cache")
        for part in parts:
            source = REPOSITORY / part
            if source.is_dir():
                shutil.copytree(source, folder / part, ignore=ignored)
            else:
                shutil.copy(source, folder / part)
        about = folder / f"koschei-{version}.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: koschei\nVersion: {version}\n")
        return cls(folder, version)

    @property
    def migrations(self) -> Path:
        """Where its revisions are."""
        return self.folder / "migrations"

    def environment(self, **more: str) -> dict[str, str]:
        """Python finds this tree first; otherwise as bare as a container's."""
        return {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": str(self.folder), **more}

    def command(self, module: str, *arguments: str) -> list[str]:
        """Run one of its programs: `admin.main`, `backend.main`, `frontend.main`."""
        return [sys.executable, "-c", f"from {module} import main; main()", *arguments]

    def admin(self, url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run its koschei-admin to the end."""
        return subprocess.run(
            self.command("admin.main", *arguments),
            env=self.environment(KOSCHEI__DB_URL=url, SUDO_USER="alice"),
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
