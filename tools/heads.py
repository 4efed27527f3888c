"""``e2espot heads`` from a clone; takes the same arguments."""

import sys

from e2espot.cli.main import main

if __name__ == "__main__":
    main(["heads", *sys.argv[1:]])
