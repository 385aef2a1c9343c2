"""The command line: `chatbot` opens the terminal client, subcommands do the rest.

Bodies import lazily, so that `chatbot --help` never imports torch. Data goes to stdout, talk to stderr.
Exit codes: 0 ok, 1 failed, 2 bad usage or data, 3 server unreachable, 4 already served, 130 interrupted.
"""

from chatbot.cli.program import main

__all__ = ["main"]
