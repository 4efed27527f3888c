"""``e2espot clips`` from a clone; takes the same arguments."""

import sys

from e2espot.cli.main import main

if __name__ == "__main__":
    main(["clips", *sys.argv[1:]])
