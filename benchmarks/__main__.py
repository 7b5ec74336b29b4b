"""The command line of the benchmarks."""

from __future__ import annotations

import argparse
import os
import pathlib
import sys
from collections.abc import Sequence

import threadpoolctl
from rich.console import Console
from rich.markup import escape

from . import cases, machine, store
from .registry import CASES, SUITES, Case
from .session import Session
from .show import show

__all__ = ["cases", "main"]
WIDTH_WITHOUT_TERMINAL = 130


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks", description="Error beside seconds, peers side by side in one run."
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="cases to run; all if none")
    parser.add_argument("--list", action="store_true", help="list the cases and stop")
    parser.add_argument("--repeats", type=_positive, metavar="N", help="instead of the case's own")
    parser.add_argument("--quick", action="store_true", help="reduced cases: does it all run?")
    parser.add_argument(
        "--jobs",
        type=_positive,
        default=1,
        metavar="N",
        help="fits at a time, each a process: for errors, as they slow each other down",
    )
    parser.add_argument(
        "--json", type=pathlib.Path, metavar="FILE", help="one file instead of benchmarks/results/"
    )
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number}: at least 1")
    return number


def main(arguments: Sequence[str] | None = None) -> int:
    """Run cases; 0 done, 1 a method failed, 2 bad input, 130 interrupted."""
    options = parser().parse_args(arguments)
    os.environ["ADABASIS_CACHE"] = "off"  # a case that wants compiled code kept says so itself
    console = _console()
    if options.list:
        for case in CASES.values():
            console.print(f"{case.name:12} {case.summary}", highlight=False, soft_wrap=True)
        for suite, names in SUITES.items():
            console.print(f"{suite:12} {', '.join(names)}", highlight=False, soft_wrap=True)
        return 0
    unknown = [name for name in options.names if name not in CASES and name not in SUITES]
    if unknown:
        known = ", ".join([*CASES, *SUITES])
        console.print(f"No case {', '.join(map(repr, unknown))}; the cases are {known}.")
        return 2
    with threadpoolctl.threadpool_limits(1):
        names = [n for name in options.names or CASES for n in SUITES.get(name, (name,))]
        return _run_all(console, [CASES[n] for n in names], options)


def _console() -> Console:
    return Console(width=None if sys.stdout.isatty() else WIDTH_WITHOUT_TERMINAL)


def _run_all(console: Console, chosen: Sequence[Case], options: argparse.Namespace) -> int:
    facts = machine.facts()
    _describe(console, facts)
    sessions: list[Session] = []
    for case in chosen:
        session = _run(console, case, options)
        sessions.append(session)
        if options.json is not None:
            stored = [session.as_dict() for session in sessions]
            store.write(options.json, {"machine": facts, "cases": stored})
        elif session.measurements:
            suffix = "-quick" if options.quick else ""
            path = store.RESULTS / f"{case.name}{suffix}.json"
            store.write(path, {"machine": facts, "cases": [session.as_dict()]})
        show(console, session)  # what was measured is stored by then
        if session.interrupted:
            break
    if any(session.interrupted for session in sessions):
        return 130
    return int(any(session.failed for session in sessions))


def _run(console: Console, case: Case, options: argparse.Namespace) -> Session:
    repeats = options.repeats or (1 if options.quick else case.repeats)
    session = Session(case, repeats, options.quick, options.jobs)
    with console.status(case.name) as status:
        session.run(
            lambda line: console.print(f"{case.name}: {escape(line)}", soft_wrap=True),
            lambda line: status.update(f"{case.name}: {escape(line)}"),
        )
    return session


def _describe(console: Console, facts: dict[str, object]) -> None:
    threads = os.environ.get("OMP_NUM_THREADS", "not set; 1 within the run")
    console.print(
        f"{facts['cores']} cores, load {facts['load']}, OMP_NUM_THREADS {threads}; "
        f"XLA: {facts['xla']}",
        highlight=False,
        soft_wrap=True,
    )


if __name__ == "__main__":
    sys.exit(main())
