# mypy: ignore-errors
# (its packages live in another environment)
"""One fit of boosted trees to Parquet files: ``rows_peers_worker.py NAME FOLDER``, or ``--list``.

Runs in ``.venv-bench``, without adabasis. Prints, as JSON, CPU seconds of reading and fitting (the
imports apart), the error against the function without noise, and the resident memory beyond that
after the imports. Both grow a hundred trees of the packages' own settings.
"""

from __future__ import annotations

import importlib
import json
import pathlib
import resource
import sys
import tempfile
import time

import numpy as np

ROUNDS = 100
UNSEEN_ROWS = 50_000
MODULES = {"LightGBM on arrays": "lightgbm", "XGBoost, external memory": "xgboost"}


def chunks(folder):
    """Yield the rows of the files, a row group at a time: X (n, 8) and y (n,)."""
    import pyarrow.parquet

    for path in sorted(pathlib.Path(folder).glob("part-*.parquet")):
        file = pyarrow.parquet.ParquetFile(path)
        for number in range(file.num_row_groups):
            columns = file.read_row_group(number).columns
            array = np.stack([column.to_numpy() for column in columns], axis=1)
            yield array[:, :-1], array[:, -1]


def lightgbm_on_arrays(folder):
    """Return a predictor: LightGBM has no iterator, so the rows are read into memory."""
    import lightgbm

    x, y = (np.concatenate(arrays) for arrays in zip(*chunks(folder), strict=True))
    model = lightgbm.train(
        {"num_threads": 1, "verbosity": -1, "seed": 0}, lightgbm.Dataset(x, y), ROUNDS
    )
    return model.predict


def xgboost_external(folder):
    """Return a predictor: rows come by XGBoost's own iterator, bins are kept on disk."""
    import xgboost

    class Rows(xgboost.DataIter):
        def __init__(self, cache):
            self.going = None
            super().__init__(cache_prefix=str(pathlib.Path(cache, "bins")))

        def next(self, input_data):
            self.going = self.going or chunks(folder)
            found = next(self.going, None)
            if found is None:
                return False
            input_data(data=found[0], label=found[1])
            return True

        def reset(self):
            self.going = None

    with tempfile.TemporaryDirectory() as cache:
        data = xgboost.ExtMemQuantileDMatrix(Rows(cache), nthread=1)
        options = {"tree_method": "hist", "nthread": 1, "seed": 0}
        model = xgboost.train(options, data, ROUNDS)
        del data
    return model.inplace_predict


FITS = {"LightGBM on arrays": lightgbm_on_arrays, "XGBoost, external memory": xgboost_external}


def largest():
    """Return the largest resident memory so far, in MiB."""
    status = pathlib.Path("/proc/self/status")
    if status.exists():  # what getrusage says is no less than what the parent had
        words = status.read_text().split()
        return int(words[words.index("VmHWM:") + 1]) / 2**10
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def main(name, folder):
    """Fit, and print the record."""
    importlib.import_module(MODULES[name])
    sys.path.append(str(pathlib.Path(__file__).parents[2]))
    from benchmarks.many_rows import unseen

    before, wall, cpu = largest(), time.perf_counter(), time.process_time()
    predict = FITS[name](folder)
    found = {
        "seconds": time.perf_counter() - wall,
        "cpu_seconds": time.process_time() - cpu,
        "memory": largest() - before,
    }
    x, y = unseen(UNSEEN_ROWS)
    found["error"] = float(np.sqrt(np.mean((predict(x) - y) ** 2)) / y.std())
    print(json.dumps(found))


def listed():
    """Return the version behind each fit; none where a package is missing."""
    found = {}
    for name, module in MODULES.items():
        try:
            importlib.import_module("pyarrow.parquet")
            found[name] = importlib.import_module(module).__version__
        except ImportError:
            found[name] = None
    return found


if __name__ == "__main__":
    if sys.argv[1:] == ["--list"]:
        print(json.dumps(listed()))
    else:
        main(*sys.argv[1:])
