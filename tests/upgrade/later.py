"""Applies this tree's pre-deploy half to a database of an older version: `python -E later.py URL`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from koschei.db import schema
from koschei.db.revisions import Phase

if __name__ == "__main__":
    schema.upgrade_half(sys.argv[1], Phase.PRE)
