"""`ossia rm`: a downloaded model off the disk."""

import argparse
import json
import sys

HELP = "Remove a downloaded model from the disk."
EXAMPLE = """ossia rm gpt-oss:20b --yes

Removed are the files that Ossia pulled, and of contents that several models share those that nothing else uses. What
another program downloaded stays, unless --foreign is given. Files that you put somewhere yourself are yours."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this verb."""
    parser.add_argument("model", metavar="MODEL", help="a name that `ossia list` shows")
    parser.add_argument("--yes", "-y", action="store_true", help="do not ask")
    parser.add_argument("--foreign", action="store_true", help="even if another program downloaded it")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    """Ask, remove, and say what that freed."""
    from ossia.checkpoint import plan_removal, remove
    from ossia.checkpoint.cached_files import cache_folder, forget
    from ossia.cli._display import one_line
    from ossia.cli._pulling import size
    from ossia.errors import CheckpointError

    removal = plan_removal(options.model)
    local = removal.local
    if removal.foreign and not options.foreign:
        raise CheckpointError(f"{local.name} was downloaded by {local.program}: {local.path}; --foreign removes it too")
    if not options.yes and not _agreed(one_line(f"{local.name}, {size(local.bytes)}, {local.path}")):
        print("nothing was removed", file=sys.stderr)
        return 1
    freed = remove(removal, foreign=options.foreign) + forget(local.path, cache_folder())
    if options.json:
        print(json.dumps({"model": local.name, "path": str(local.path), "freed_bytes": freed}, indent=2))
    else:
        print(one_line(f"{local.name} is removed; {size(freed)} are free again"), file=sys.stderr)
    return 0


def _agreed(what: str) -> bool:
    """Whether the user says yes. Raises CheckpointError where nobody can be asked."""
    from ossia.errors import CheckpointError

    if sys.stdin is None or not sys.stdin.isatty():
        raise CheckpointError(f"{what} would be removed; --yes says that it may be")
    print(f"remove {what}? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
