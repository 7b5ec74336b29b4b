"""Copy the figures of Parts II and III, run at full size, to where the documentation shows them.

After ``adabasis reproduce NAME --full`` for each of ``NAMES``, this writes
``docs/_static/figures/NAME.svg``, and ``NAME.txt`` with the verdict that the command printed.
"""

import json
import pathlib
import shutil

from adabasis.experiments.published import folded

NAMES = (
    "lsgd-vs-gd",
    "lsgd-path",
    "image-collapse",
    "basis-functions",
    "he-vs-box",
    "width-depth",
    "cross-sine",
    "waves",
    "two-phase",
    "error-estimate",
    "steam-phases",
)
ROOT = pathlib.Path(__file__).parents[1]
MOST_BYTES = 3_000_000
"""Of all pictures together."""


def main() -> None:
    """Copy pictures and verdicts, and refuse pictures that are too large to commit."""
    target = ROOT / "docs" / "_static" / "figures"
    target.mkdir(parents=True, exist_ok=True)
    for name in NAMES:
        source = ROOT / "figures" / name / "full"
        record = json.loads(source.with_suffix(".json").read_text("utf-8"))
        shutil.copy(source.with_suffix(".svg"), target / f"{name}.svg")
        minutes = record["cpu_seconds"] / 60
        earlier = record["parts_of_earlier_runs"]
        without = f", without {earlier} trainings of earlier runs" if earlier else ""
        lines = [*folded(record["verdict"]), f"{minutes:.1f} CPU minutes{without}"]
        (target / f"{name}.txt").write_text("\n".join(lines) + "\n", "utf-8")
    size = sum(path.stat().st_size for path in target.glob("*.svg"))
    if size > MOST_BYTES:
        raise SystemExit(f"{target}: {size:,} bytes of pictures; at most {MOST_BYTES:,}.")


if __name__ == "__main__":
    main()
