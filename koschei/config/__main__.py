"""`python -m koschei.config` prints docs/configuration.md."""

import sys

from koschei.config.reference import reference

if __name__ == "__main__":
    sys.stdout.write(reference())
