"""Prints what sam takes from a file of settings, as JSON.

Usage: settings.py FILE COMMAND [ARGUMENT...]

It is sam's own reading of its command line and of the file; the command itself
is not carried out.
"""

import importlib
import inspect
import json
import sys
from unittest.mock import patch

from click.testing import CliRunner
from samcli.cli.main import cli


def main(file, command, *arguments):
    module = importlib.import_module(f"samcli.commands.{command}.command")
    names = list(inspect.signature(module.do_cli).parameters)
    taken = {}

    def do_cli(*args, **kwargs):
        taken.update(zip(names, args), **kwargs)

    with patch.object(module, "do_cli", do_cli):
        result = CliRunner().invoke(cli, [command, "--config-file", file, *arguments])
    if result.exit_code != 0:
        sys.exit(result.output)
    json.dump(taken, sys.stdout, default=str)


main(*sys.argv[1:])
