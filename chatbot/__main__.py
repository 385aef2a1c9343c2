"""`chatbot`, which is `python -m chatbot` too."""

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the program and exit; interrupting it while it is still imported needs no traceback either."""
    try:
        from chatbot.cli import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
