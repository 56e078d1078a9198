"""The console entry point: exit codes, and one line for whatever goes wrong.

Exit codes: 0 not refuted, 1 refuted, 2 anything that went wrong, 3 inconclusive, 130 interrupted.
An exception must never look like an accusation: Python, click and a spec that calls `sys.exit` would all leave with
code 1. So 1 is left to a command that says so, and everything that can break is imported and run in here.
"""

import os
import sys
import traceback
from typing import NoReturn

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run one command and leave with its exit code.

    Args:
        arguments: the words after ``dpaudit``; None for those of this process.
    """
    words = sys.argv[1:] if arguments is None else arguments
    try:
        from dpaudit.commands import app

        code = app(words, prog_name="dpaudit", standalone_mode=False)
    except KeyboardInterrupt:
        code = 130
    except BaseException as error:
        if "--debug" in words:
            traceback.print_exc()
        _fail(_told(error))
    if code == 130:
        _say("interrupted; what was finished is in the ledger")
    sys.exit(code or 0)


def _told(error: BaseException) -> str:
    from dpaudit.errors import AuditError

    if isinstance(error, AuditError):
        return str(error)
    if hasattr(error, "format_message") and hasattr(error, "exit_code"):  # typer's own, of whichever click it carries
        command = getattr(getattr(error, "ctx", None), "command_path", "dpaudit")
        return f"{error.format_message().rstrip('.')}; try: {command} --help"
    kind, message = type(error).__name__, " ".join(str(error).split())
    return f"internal, {kind}{': ' * bool(message)}{message}; probably a bug of dpaudit, try: --debug to see where"


def _fail(message: str) -> NoReturn:
    _say(f"error: {' '.join(message.split())}")
    try:
        sys.stdout.flush()
    except OSError:  # nobody reads it: the interpreter would stumble over the rest at its end, and leave with 120
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(2)


def _say(text: str) -> None:
    print(f"dpaudit: {text}", file=sys.stderr)


if __name__ == "__main__":
    main()
