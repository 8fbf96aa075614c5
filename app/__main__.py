"""The `plainsight` command from its first moment on: loading the rest of it takes seconds."""

import sys


def main() -> None:
    """Ctrl-C is exit code 130, also while the command is being loaded."""
    try:
        from app.cli import main as command

        command()
    except KeyboardInterrupt:
        sys.stderr.write("Stopped.\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
