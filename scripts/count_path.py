"""Count the files that a call crosses, and the statements of the package.

    python scripts/count_path.py

Each call is the first of a process of its own, so that what runs once is counted: a fit by
Gauss–Newton steps and an equation on frozen functions. A file is crossed when one of its functions
is called; a change is a call into another file than that of the call before.
"""

import ast
import itertools
import pathlib
import subprocess
import sys

LEFT_OUT = ("experiments", "plots", "report", "tables")
LONGEST = 450
ROOT = pathlib.Path(__file__).resolve().parent.parent / "src" / "adabasis"


def fit():
    """Return what fits eight functions to 100 rows in five Gauss–Newton steps."""
    import inspect

    import numpy as np

    import adabasis as ab

    x = np.linspace(0, 1, 100)[:, None]
    y, basis = np.sin(6 * x[:, 0]), ab.NeuralBasis(8, 1)
    door = ab.fit  # imports what it needs now, uncounted
    first = next(iter(inspect.signature(door).parameters))
    arguments = (basis, x, y) if first == "basis" else (x, y, basis)
    return lambda: door(*arguments, method="lsgn", max_steps=5)


def solve():
    """Return what solves Poisson's equation on 64 frozen functions."""
    import adabasis as ab

    problem, basis = ab.pde.catalog.problem("poisson-2d"), ab.FrozenFeatures(64)
    door = ab.solve  # imports what it needs now, uncounted
    return lambda: door(problem, basis, method="frozen")


CALLS = {"fit(method='lsgn')": fit, "solve(method='frozen')": solve}


def crossed(call) -> list[str]:
    """Return the file of every function of the package that a call enters, in order."""
    import adabasis

    package, files = str(pathlib.Path(adabasis.__file__).parent), []

    def profile(frame, event, _):
        if event == "call" and frame.f_code.co_filename.startswith(package):
            files.append(frame.f_code.co_filename[len(package) + 1 :])

    sys.setprofile(profile)
    try:
        call()
    finally:
        sys.setprofile(None)
    return files


def statements() -> dict[str, int]:
    """Return the number of statements by file, docstrings included."""
    return {
        path.relative_to(ROOT).as_posix(): sum(
            isinstance(node, ast.stmt) for node in ast.walk(ast.parse(path.read_text("utf-8")))
        )
        for path in sorted(ROOT.rglob("*.py"))
    }


def path_of(name: str) -> None:
    """Print what one call crosses."""
    files = crossed(CALLS[name]())
    changes = sum(a != b for a, b in itertools.pairwise(files))
    print(f"{name:<24}{len(set(files)):>6}{changes:>9}{len(files):>8}", flush=True)
    for file in dict.fromkeys(files):
        print(f"    {file}")


def main() -> None:
    """Print all tables."""
    print(f"{'call':<24}{'files':>6}{'changes':>9}{'calls':>8}", flush=True)
    for name in CALLS:
        subprocess.run([sys.executable, __file__, name], check=True)
    counted = statements()
    folders: dict[str, int] = {}
    for file, count in counted.items():
        folder = file.partition("/")[0] if "/" in file else "(itself)"
        folders[folder] = folders.get(folder, 0) + count
    print(f"\n{'folder':<24}{'statements':>11}")
    for folder, count in sorted(folders.items()):
        print(f"{folder:<24}{count:>11}")
    inside = sum(count for folder, count in folders.items() if folder not in LEFT_OUT)
    print(f"{'all':<24}{sum(counted.values()):>11}")
    print(f"{'without the four below':<24}{inside:>11}  ({', '.join(LEFT_OUT)})")
    lines = {file: (ROOT / file).read_text("utf-8").count("\n") for file in counted}
    longest = max(lines, key=lambda file: lines[file])
    print(f"\nfiles in src/adabasis itself: {sum('/' not in file for file in counted)}")
    print(f"longest file: {longest}, {lines[longest]} lines (at most {LONGEST})")


if __name__ == "__main__":
    if sys.argv[1:]:
        path_of(sys.argv[1])
    else:
        main()
