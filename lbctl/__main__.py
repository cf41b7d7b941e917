"""``python -m lbctl``."""

import sys

from lbctl.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
