"""``python -I -m lbctl.daemons.logd RUN_DIR``."""

from __future__ import annotations

import sys

from lbctl.bundle.logd import main

if __name__ == "__main__":
    main(sys.argv)
