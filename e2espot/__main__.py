"""``python -m e2espot`` is the ``e2espot`` command."""

from e2espot.cli.main import console

if __name__ == "__main__":
    console()
