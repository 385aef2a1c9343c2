"""The command line: `chatbot` opens the terminal client, subcommands do the rest.

Bodies import lazily, so that `chatbot --help` never imports torch. Data goes to stdout, talk to stderr.
"""

from chatbot.cli.program import main

__all__ = ["main"]
