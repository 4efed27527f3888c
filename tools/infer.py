"""``e2espot infer`` from a clone; takes the same arguments."""

import sys

from e2espot.cli.main import main

if __name__ == "__main__":
    main(["infer", *sys.argv[1:]])
