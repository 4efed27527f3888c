"""``python -m e2espot`` is the ``e2espot`` command."""

from e2espot.cli.main import main

if __name__ == "__main__":
    main()
