"""`python -m selma_core.cli`: the same as `selma`."""

import sys

from selma_core.cli import main

if __name__ == "__main__":
    sys.exit(main())
