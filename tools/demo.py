"""``e2espot demo`` from a clone; takes the same arguments."""

import sys

from e2espot.cli.main import main

if __name__ == "__main__":
    main(["demo", *sys.argv[1:]])
