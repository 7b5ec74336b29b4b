"""Switch the clever steps of the searches off, one at a time: a guarding test must miss each.

    python scripts/switch_off.py            # all
    python scripts/switch_off.py ties moved # these

Copies the package to a temporary folder, changes one place there and runs ``tests/test_guards.py``
on the copy. Prints a table; the exit code is 1 if a step goes unnoticed, or if the tests fail with
every step in place.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

SWITCHES = {
    "weights": ("pde/strategy.py", "for weight in WEIGHTS:", "for weight in ():"),
    "widening": (
        "pde/strategy.py",
        "for level in range(self.level, min(self.level + most, len(self.widths))):",
        "for level in ():",
    ),
    "moved": (
        "pde/adapt.py",
        "self.descend(LSGN(), NeuralBasis(MOVED, 1, activation=activation))",
        "pass",
    ),
    "characteristics": (
        "pde/adapt.py",
        "if first_order and not self.good(FRACTION_SOLVED) and not self.search.late():",
        "if False:",
    ),
    "ties": ("pou/variants.py", "[(tied, HARD), (plain, HARD), ", "[(plain, HARD), "),
    "fewest pieces": ("pou/candidates.py", "self.loo_error < HIDDEN * self.beside", "False"),
    "single precision": (
        "regression/strategy.py",
        'LSGN(precision="single" if noisy else "double")',
        "LSGN()",
    ),
    "prior ridge": (
        "regression/strategy.py",
        "return PRIOR * min(errors, default=0.0) ** 2",
        "return 0.0",
    ),
    "projected features": ("regression/projection.py", "for _ in range(ROUNDS):", "for _ in ():"),
    "averaging": ("regression/strategy.py", "self._average(members, growth)", "pass"),
}
"""What is switched off: a file of the package, what stands there once, and what replaces it."""

ROOT = pathlib.Path(__file__).resolve().parent.parent
FAILED = re.compile(r"^(?:FAILED|ERROR) \S*?(?:::(\w+)\S*)?(?: - (.*))?$", re.MULTILINE)


def switched(package: pathlib.Path, file: str, pattern: str, replacement: str) -> None:
    """Replace the one place of a pattern in a file of a copy of the package."""
    path = package / file
    text = path.read_text("utf-8") if path.exists() else ""
    if text.count(pattern) != 1:
        raise SystemExit(
            f"{file}: expected {pattern!r} once, found it {text.count(pattern)} times; adapt "
            "SWITCHES in scripts/switch_off.py to the source."
        )
    indent = pattern[: len(pattern) - len(pattern.lstrip(" "))]
    path.write_text(text.replace(pattern, indent + replacement.lstrip(" ")), "utf-8")


def failures(folder: pathlib.Path, change: tuple[str, str, str] | None) -> list[str]:
    """Run the guards on a changed copy; return the tests that failed, each with its reason."""
    copy = folder / "src"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(ROOT / "src", copy, ignore=shutil.ignore_patterns("__pycache__"))
    if change is not None:
        switched(copy / "adabasis", *change)
    cache = f"cache_dir={folder / 'cache'}"  # compiled once for all switches
    command = [sys.executable, "-m", "pytest", "tests/test_guards.py", "-x", "-q", "-o", cache]
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    ran = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    if ran.returncode not in (0, 1):
        raise SystemExit(ran.stdout + ran.stderr)
    found = [f"{name} ({(why or '').strip()[:60]})" for name, why in FAILED.findall(ran.stdout)]
    return found or ["?"] * ran.returncode


def main(names: list[str]) -> int:
    """Print the table; return 1 where a step is not missed."""
    unknown = set(names) - set(SWITCHES)
    if unknown:
        raise SystemExit(f"{', '.join(unknown)}: expected some of {', '.join(SWITCHES)}.")
    with tempfile.TemporaryDirectory() as made:
        folder = pathlib.Path(made)
        for name in names or SWITCHES:  # before anything runs for minutes
            switched_copy = folder / "check" / "adabasis"
            shutil.copytree(ROOT / "src" / "adabasis", switched_copy, dirs_exist_ok=True)
            switched(switched_copy, *SWITCHES[name])
        unnoticed = 0
        print(f"{'switched off':<20}{'seconds':>8}  failed tests", flush=True)
        for name, change in {"nothing": None, **SWITCHES}.items():
            if names and change is not None and name not in names:
                continue
            began = time.perf_counter()
            failed = failures(folder, change)
            wrong = bool(failed) == (change is None)
            unnoticed += wrong
            words = "; ".join(failed) or ("none" if change is None else "NONE: not noticed")
            print(f"{name:<20}{time.perf_counter() - began:>8.0f}  {words}", flush=True)
    return int(unnoticed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
