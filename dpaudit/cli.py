"""The console entry point: exit codes, and one line for whatever goes wrong.

Exit codes: 0 not refuted, 1 refuted, 2 anything that went wrong, 3 inconclusive, 130 interrupted twice, 143 terminated.
An exception must never look like an accusation: Python, click and a spec that calls `sys.exit` would all leave with
code 1. So 1 is left to a command that says so, and everything that can break is imported and run in here.
"""

import os
import signal
import sys
import traceback
from typing import NoReturn

from dpaudit._streams import usable_streams

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run one command and leave with its exit code.

    Args:
        arguments: the words after ``dpaudit``; None for those of this process.
    """
    with usable_streams():
        try:
            code = _run(sys.argv[1:] if arguments is None else arguments)
        except Exception as error:  # in saying what had happened: an import that was interrupted cannot be repeated
            code = 2
            _say(f"error: {type(error).__name__}: {error}")
        sys.exit(code)


def _run(words: list[str]) -> int:
    try:
        from dpaudit.commands import app

        code = app(words, prog_name="dpaudit", standalone_mode=False)
    except KeyboardInterrupt:
        code = 130
    except BaseException as error:
        if "--debug" in words:
            traceback.print_exc()
        return _failed(_told(error))
    return _interrupted() if code == 130 else int(code or 0)


def _interrupted() -> int:
    loaded = sys.modules.get("dpaudit.trials.interrupts")  # not imported for this: imports may just have been cut off
    stopped_by = getattr(loaded, "stopped_by", None)
    by = signal.SIGINT if stopped_by is None else stopped_by()
    _say(f"{'interrupted' if by is signal.SIGINT else 'terminated'}; what was finished is in the ledger")
    return 128 + by


def _told(error: BaseException) -> str:
    from dpaudit.errors import AuditError

    if isinstance(error, AuditError):
        return str(error)
    if hasattr(error, "format_message") and hasattr(error, "exit_code"):  # typer's own, of whichever click it carries
        command = getattr(getattr(error, "ctx", None), "command_path", "dpaudit")
        return f"{error.format_message().rstrip('.')}; try: {command} --help"
    kind, message = type(error).__name__, " ".join(str(error).split())
    return f"internal, {kind}{': ' * bool(message)}{message}; probably a bug of dpaudit, try: --debug to see where"


def _failed(message: str) -> int:
    _say(f"error: {' '.join(message.split())}")
    try:
        sys.stdout.flush()
    except OSError:  # nobody reads it: the interpreter would stumble over the rest at its end, and leave with 120
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 2


def _say(text: str) -> None:
    print(f"dpaudit: {text}", file=sys.stderr)


if __name__ == "__main__":
    main()
