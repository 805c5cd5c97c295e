"""The first tenths of a second of the installed script."""

from __future__ import annotations

import signal
import subprocess
import sys

PRESSED_WHILE_LOADING = """
import os, signal, sys

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "admin.main":
            os.kill(os.getpid(), signal.SIGINT)

signal.signal(signal.SIGINT, signal.default_int_handler)
sys.meta_path.insert(0, Finder())
from admin.start import main
main()
"""


def test_ctrl_c_while_the_command_line_is_loaded_ends_it_without_a_word() -> None:
    process = subprocess.run([sys.executable, "-c", PRESSED_WHILE_LOADING], capture_output=True, text=True, timeout=60)
    assert (process.returncode, process.stdout, process.stderr) == (-signal.SIGINT, "", "")
