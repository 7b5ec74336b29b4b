"""The command line; everything heavy is imported by the command that needs it.

Exit codes: 0 done, 1 failed, 2 bad input, 130 interrupted.
"""

from __future__ import annotations

import _thread
import atexit
import contextlib
import importlib
import importlib.metadata
import io
import json
import os
import shutil
import signal
import sys
import textwrap
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import cyclopts
from cyclopts import Parameter

from .._runtime.errors import BadInput, EngineError
from . import early
from .options import AsJson, FitOptions, Flag, Names, SearchOptions, Sign

if TYPE_CHECKING:
    from rich.console import Console

    from .tables import Outcome


app = cyclopts.App(
    name="adabasis",
    version=importlib.metadata.version("adabasis"),
    help="Fit tables, predict and solve equations by small networks; errors are told as they are.",
    help_epilogue="Begin with: adabasis fit TABLE.csv --target COLUMN. "
    "Exit codes: 0 done, 1 failed, 2 bad input, 130 interrupted.",
    help_format="markdown",
)


@app.command(usage="Usage: adabasis fit TABLE --target COLUMN [OPTIONS]")
def fit(table: str, /, *, options: FitOptions = FitOptions()) -> int:  # noqa: B008 (frozen)
    """Fit a table, judge the model on rows it has not seen, save it with a report.

    Parameters
    ----------
    table
        CSV, JSON lines, Excel (book.xlsx::Sheet), Parquet, Feather, Arrow or SQLite
        (data.db::table or data.db::query); the first line of a CSV names the columns. A folder or
        a quoted pattern ('part-*.parquet') is one table; of a million rows and more, rows are read
        chunk by chunk.
    """
    from . import streams

    with options.blocks("fit"):
        found = streams.fit_table(table, options, _given, _console())
    return _told(found, options.as_json)


@app.command
def predict(
    model: Path,
    table: str,
    /,
    *,
    out: Path | None = None,
    interval: float | None = None,
    keep: Names = (),
    decimal: Sign = None,
    force: Flag = False,
    quiet: Flag = False,
    as_json: AsJson = False,
) -> int:
    """Predict every row of a table with a saved model; tables may be larger than memory.

    Parameters
    ----------
    model
        A file written by adabasis fit.
    table
        As for fit, with the columns the model was fitted to, in any order.
    out
        CSV or Parquet [default: TABLE-predictions.csv here].
    interval
        Add columns of bounds that hold a new value with a chance of so many per cent, such as 90.
        Of classes: the set of labels that holds the new one.
    keep
        Columns of the table to write beside the predictions, such as ids; "inputs" for those that
        the model uses, "all" for all.
    decimal
        Decimal sign, point or comma, where the table does not tell [default: as fitted].
    force
        Overwrite the file.
    quiet
        Say nothing but errors.
    as_json
        Print one JSON document instead of text.
    """
    from . import predictions

    silent = quiet or as_json
    found = predictions.predict_table(
        model,
        table,
        out,
        force,
        _console(),
        quiet=silent,
        decimal=decimal,
        interval=interval,
        keep=keep,
    )
    return _told(found, as_json)


@app.command
def compare(
    model_a: Path,
    model_b: Path,
    table: str,
    /,
    *,
    level: float = 0.05,
    weight: str | None = None,
    group: str | None = None,
    decimal: Sign = None,
    quiet: Flag = False,
    as_json: AsJson = False,
) -> int:
    """Say which of two models has the smaller error on a table, by how much, how surely.

    Parameters
    ----------
    model_a
        A file written by adabasis fit.
    model_b
        Another one, of the same target.
    table
        Rows that neither was fitted to, with the columns of both and the target.
    level
        Chance of calling one of two models better that err alike.
    weight
        Column of non-negative row weights.
    group
        Column of labels (a patient, a run): rows of one belong together.
    decimal
        Decimal sign, point or comma, where the table does not tell [default: as fitted].
    quiet
        Say nothing but errors.
    as_json
        Print one JSON document instead of text.
    """
    from . import compare as comparing

    found = comparing.compare_models(
        (model_a, model_b),
        table,
        _console(),
        level=level,
        weight=weight,
        group=group,
        decimal=decimal,
        quiet=quiet or as_json,
    )
    return _told(found, as_json)


@app.command
def export(
    model: Path,
    file: Path,
    /,
    *,
    single: Flag = False,
    force: Flag = False,
    quiet: Flag = False,
    as_json: AsJson = False,
) -> int:
    """Write a model to a file that needs no adabasis, compared with the model first.

    Parameters
    ----------
    model
        A file written by adabasis fit.
    file
        What to write; its suffix chooses the format: .py (needs NumPy only, and reads the table's
        columns), .onnx, .c, .js, .html (a page with sliders), .jax, .tex or .sympy (a formula).
    single
        Write ONNX in single precision.
    force
        Overwrite the file.
    quiet
        Say nothing but errors.
    as_json
        Print one JSON document instead of text.
    """
    from . import exports

    found = exports.export_model(
        model, file, _console(), single=single, force=force, quiet=quiet or as_json
    )
    return _told(found, as_json)


@app.command
def show(model: Path, /, *, as_json: AsJson = False) -> int:
    """Say what a model file is and how it was made.

    Parameters
    ----------
    model
        A file written by adabasis fit.
    as_json
        Print one JSON document instead of text.
    """
    from . import tables

    return _told(tables.show_model(model, _console(), quiet=as_json), as_json)


@app.command
def solve(
    what: str = "",
    *,
    save: Annotated[tuple[Path, ...], Parameter(negative=(), show_default=False)] = (),
    report: Flag = False,
    listed: Annotated[bool, Parameter(name="--list", negative=())] = False,
    options: SearchOptions = SearchOptions(),  # noqa: B008 (frozen)
) -> int:
    """Solve a differential equation, with a certificate of how well.

    Parameters
    ----------
    what
        A name of the catalogue (--list shows them), or a Python file that sets ``problem``.
    save
        File for the solution (.adabasis) or its values on a grid (.vtu, .vtk, .xdmf, others).
    report
        Write a page about the solution: NAME.html here.
    listed
        Show the catalogue.
    """
    from . import equations

    if listed or not what:
        return _told(equations.show_catalogue(_console()), False)
    with options.blocks("solve"):
        outcome = equations.solve_named(what, options, report, _console(), kept=save)
    return _told(outcome, options.as_json)


@app.command
def reproduce(
    *names: str,
    full: Flag = False,
    quick: Flag = False,
    every: Annotated[bool, Parameter(name="--all", negative=())] = False,
    listed: Annotated[bool, Parameter(name="--list", negative=())] = False,
    out: Path = Path("figures"),
) -> int:
    """Run the experiments behind the papers' figures, and draw them.

    Parameters
    ----------
    names
        Of experiments; --list shows them.
    full
        The published size, which takes minutes to hours.
    quick
        A size that takes about a minute, a quarter of an hour for waves: the default.
    every
        Run all of them.
    listed
        Show the names.
    out
        Folder for NAME/quick.json, .svg and .png, or full.
    """
    from . import reproduce as reproducing

    if full and quick:
        raise BadInput("--full and --quick: choose one.")
    return reproducing.run(names, full, every, listed, out, _console())


@app.command
def doctor(*, as_json: AsJson = False) -> int:
    """Look for what is wrong with this installation, and say how to mend it.

    Parameters
    ----------
    as_json
        Print one JSON document instead of text.
    """
    from . import doctor

    found, wrong = doctor.examine()
    if as_json:
        print(json.dumps({"found": found, "wrong": wrong}))
    else:
        doctor.report(found, wrong, _console())
    return int(bool(wrong))


@app.command
def demo(*, out: Path = Path("adabasis-demo")) -> int:
    """Take a tour of twenty CPU seconds: a table of steam, the comparison behind the method.

    Parameters
    ----------
    out
        Folder for the model, the report and the pictures.
    """
    from ..experiments import demo

    try:
        demo.run(out, _console())
    except KeyboardInterrupt:
        return _complain(f"Interrupted: what is in {out} by now is whole.", 130)
    return 0


_given: Sequence[str] = ()
#: The module that does the work of each command.
_WORK = {
    "compare": ".compare",
    "demo": "..experiments.demo",
    "doctor": ".doctor",
    "export": ".exports",
    "fit": ".streams",
    "predict": ".predictions",
    "reproduce": ".reproduce",
    "show": ".tables",
    "solve": ".equations",
}


def _console() -> Console:
    from rich.console import Console

    return Console()


def _told(outcome: Outcome, as_json: bool) -> int:
    if as_json:
        print(json.dumps(outcome.document, allow_nan=False))
    return 130 if outcome.interrupted else 0


def use_compile_cache() -> None:
    """Keep compiled code between commands: all of it, to the end of the process."""
    from .._runtime.cache import keeping

    kept = contextlib.ExitStack()
    kept.enter_context(keeping())
    atexit.register(kept.close)


@contextlib.contextmanager
def _interrupts_wait() -> Iterator[None]:
    """Put off Ctrl-C to the end of the block: imports of compiled modules do not survive it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    seen: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: seen.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if seen:
        raise KeyboardInterrupt


@contextlib.contextmanager
def _no_interrupt_lost() -> Iterator[None]:
    """Send Ctrl-C again if it fell into a callback that swallows exceptions (JAX has some)."""
    before = sys.unraisablehook

    def hook(lost: sys.UnraisableHookArgs) -> None:
        if issubclass(lost.exc_type, KeyboardInterrupt):
            threading.Timer(0.05, _thread.interrupt_main).start()
        else:
            before(lost)

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before


def main(tokens: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    global _given
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # not every terminal can show every name
    _given = sys.argv[1:] if tokens is None else list(tokens)
    try:
        command, bound, _ = app.parse_args(_given, exit_on_error=False, print_error=False)
        if command.__module__ == __name__:  # not --help or --version
            early.check(command.__name__, bound.arguments)
            with _interrupts_wait():
                use_compile_cache()
                importlib.import_module(_WORK[command.__name__], __package__)
        with _no_interrupt_lost():
            return command(*bound.args, **bound.kwargs) or 0
    except cyclopts.CycloptsError as error:
        about = [name for name in _given[:1] if name in app]
        return _complain(f"{error}".strip(), 2, f"See {' '.join(['adabasis', *about, '--help'])}.")
    except BadInput as error:
        return _complain(str(error), 2)
    except EngineError as error:
        return _complain(str(error), 1)
    except KeyboardInterrupt:
        return _complain("Interrupted: nothing was written.", 130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if os.environ.get("ADABASIS_TRACEBACK"):
            raise
        return _complain(
            f"{type(error).__name__}: {error}", 1, "ADABASIS_TRACEBACK=1 shows where it happened."
        )


def _complain(text: str, code: int, hint: str = "") -> int:
    lines = "\n".join(filter(None, [f"adabasis: {text}", hint])).splitlines()
    if sys.stderr.isatty():
        width = shutil.get_terminal_size().columns
        lines = [
            textwrap.fill(
                line,
                width,
                subsequent_indent="  ",
                break_long_words=False,
                break_on_hyphens=False,
            )
            for line in lines
        ]
    print("\n".join(lines), file=sys.stderr)
    return code
