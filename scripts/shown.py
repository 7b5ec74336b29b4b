"""Run what a page shows, and compare or renew the output that it shows: README and quick start.

``python scripts/shown.py README.md`` runs the page and says where its output differs; ``--write``
puts the output of this run in its place. Two kinds of blocks are run, in a folder of their own that
has ``examples``:

- ``console``: lines that begin with ``$`` are commands, what follows each is what it printed;
- ``python``: one after the other in the same process; a ``text`` block right behind one is what it
  printed.

Standard error, which has the progress, is not shown. A block behind a line ``<!-- FILE -->`` has
the content of that file, which is not run.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile
from typing import Any, NamedTuple

ROOT = pathlib.Path(__file__).parents[1]
BLOCK = re.compile(
    r"(?:<!-- (?P<file>\S+) -->\n)?```(?P<kind>console|python|text)\n(?P<body>.*?)```\n", re.DOTALL
)
NUMBER = re.compile(r"(?<![\w.])-?\d[\d,]*\.?\d*(?:e[-+]?\d+)?")
#: Not compared: which of two equal candidates wins, and where round-off is largest.
ELSEWHERE = ("Model: ", "Stopped: ", "largest residual where")
#: How a further line of what is not compared begins.
GOES_ON = 9 * " "
ROUND_OFF, TOLERANCE = 1e-10, 0.2
#: Not compared either: said where the evidence of the winner is the larger one. Processors round
#: differently, and so one of two candidates wins that are as good as one another.
OWN = re.compile(r"; \S+ by its own evidence \([^)]*\)")


class Shown(NamedTuple):
    """One block of a page, as it stands and as a run leaves it."""

    start: int
    end: int
    before: str
    after: str


def run(page: pathlib.Path, folder: pathlib.Path) -> list[Shown]:
    """Run all blocks of a page in ``folder``, which gets a link to the examples."""
    (folder / "examples").symlink_to(ROOT / "examples")
    text = page.read_text("utf-8")
    found: list[Shown] = []
    scope: dict[str, Any] = {}
    printed: str | None = None
    last = 0
    with contextlib.chdir(folder):
        for block in BLOCK.finditer(text):
            adjacent = not text[last : block.start()].strip()
            kind, body, last = block["kind"], block["body"], block.end()
            if block["file"]:
                after = (ROOT / block["file"]).read_text("utf-8")
            elif kind == "python":
                with contextlib.redirect_stdout(io.StringIO()) as stream:
                    exec(compile(body, f"{page.name}, a block", "exec"), scope)
                printed = stream.getvalue()
                continue
            elif kind == "console":
                commands = [line[2:] for line in body.splitlines() if line.startswith("$ ")]
                after = "".join(map(_command, commands))
            elif adjacent and printed is not None:
                after, printed = printed, None
            else:
                continue
            found.append(Shown(block.start("body"), block.end("body"), body, after))
    return found


def _command(command: str) -> str:
    """Return a command with its output, as a person sees it at 80 columns."""
    tokens = shlex.split(command)
    if tokens[0] == "adabasis":
        tokens = [sys.executable, "-m", *tokens]
    env = os.environ | {"COLUMNS": "80"}
    done = subprocess.run(tokens, capture_output=True, text=True, env=env)
    if done.returncode:
        raise RuntimeError(f"{command}: exit code {done.returncode}\n{done.stderr}")
    return f"$ {command}\n{done.stdout.rstrip()}\n".replace("\n\n\n", "\n\n")


def differences(before: str, after: str) -> list[str]:
    """Return the words and numbers that differ, line breaks and a fifth of numbers aside."""
    one, other = (_words(text) for text in (before, after))
    found = [
        f"{a!r} is shown, {b!r} was printed"
        for a, b in zip(one, other, strict=False)
        if not _same(a, b)
    ]
    if len(one) != len(other):
        found.append(f"{len(one)} words are shown, {len(other)} were printed")
    return found


def _words(text: str) -> list[str]:
    lines: list[str] = []
    skipped = False
    for line in text.splitlines():
        goes_on = skipped and line.startswith(GOES_ON)
        skipped = goes_on or line.strip().startswith(ELSEWHERE)
        lines += [] if skipped else [line]
    joined = OWN.sub("", re.sub(r"[─━]+", " ", " ".join(line.strip() for line in lines)))
    return re.sub(r"([()\[\],;:])(?=\s|$)|(?<=\s)([(\[])", r" \1\2 ", joined).split()


def _same(a: str, b: str) -> bool:
    if a == b:
        return True
    if not (NUMBER.search(a) and NUMBER.search(b)):
        return False
    if NUMBER.sub("#", a) != NUMBER.sub("#", b):
        return False
    pairs = zip(NUMBER.findall(a), NUMBER.findall(b), strict=True)
    values = [(float(x.replace(",", "")), float(y.replace(",", ""))) for x, y in pairs]
    return all(
        abs(x - y) <= TOLERANCE * max(abs(x), abs(y)) or max(abs(x), abs(y)) <= ROUND_OFF
        for x, y in values
    )


def main() -> int:
    """Compare or renew; 0 if nothing differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("page", type=pathlib.Path)
    parser.add_argument("--write", action="store_true", help="put the output of this run there")
    options = parser.parse_args()
    page = options.page.resolve()
    with tempfile.TemporaryDirectory() as folder:
        blocks = run(page, pathlib.Path(folder))
    wrong = [line for block in blocks for line in differences(block.before, block.after)]
    print("\n".join(wrong) or f"{page.name}: {len(blocks)} outputs are as shown")
    if options.write:
        text = page.read_text("utf-8")
        for block in reversed(blocks):
            text = text[: block.start] + block.after + text[block.end :]
        page.write_text(text, "utf-8")
    return int(bool(wrong) and not options.write)


if __name__ == "__main__":
    raise SystemExit(main())
