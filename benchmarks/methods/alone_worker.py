# mypy: ignore-errors
# (it also runs beside earlier versions of adabasis)
"""One fit in a process of its own: ``alone_worker.py job.npz result.npz``.

CPU seconds are those of the whole process until the fit returned: imports, compilation, reading the
rows. The process keeps to one core, which XLA's threads, that no BLAS setting caps, obey too. It
imports nothing of the project but adabasis itself, from the folder that ``PYTHONPATH`` names.
"""

from __future__ import annotations

import json
import os
import pathlib
import resource
import sys
import time

BEGAN = time.perf_counter()
if hasattr(os, "sched_setaffinity"):
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[os.getpid() % len(cores)]})

import numpy as np  # noqa: E402  (after the choice of a core)


def adabasis(x, y, job):
    """Fit by default, or with the job's options."""
    import adabasis as ab

    found = pathlib.Path(ab.__file__).resolve()
    if pathlib.Path(job["source"]).resolve() not in found.parents:
        raise RuntimeError(f"adabasis was to come from the folder {job['source']}, not {found}")
    kind = ab.AdaptiveBasisClassifier if job["labels"] else ab.AdaptiveBasisRegressor
    model = kind(random_state=job["seed"], **job["options"]).fit(x, y)
    return _found(model.fitted_)


def plain(x, y, job):
    """Choose among what adabasis calls plain bases: lines, splines, Gaussians."""
    import adabasis as ab
    from adabasis.regression.bases import plain_bases

    bases = plain_bases(*x.shape)
    return _found(ab.fit(x, y, bases, method="frozen", random_state=job["seed"], **job["options"]))


def tolerance(x, y, job):
    """Fit to a tolerance; the status is the reason of the end."""
    import adabasis as ab

    fitted = ab.fit_to_tolerance(x, y, random_state=job["seed"], **job["options"])
    predict, about = _found(fitted)
    reason = fitted.record.tolerance.reason
    return predict, about | {"status": str(getattr(reason, "name", reason)).lower()}


def _found(fitted):
    timings = getattr(fitted, "timings", None)  # earlier builds have none
    about = {
        "steps": max(0, len(fitted.history) - 1),
        "status": fitted.stop_reason.name.lower(),
        "compile_seconds": timings.compile.wall if timings else 0.0,
    }
    return getattr(fitted, "predict", fitted), about


def _mlp(kind, x, y, job):
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    network = kind(hidden_layer_sizes=(128, 128), early_stopping=True, random_state=job["seed"])
    network.set_params(**job["options"])
    return make_pipeline(StandardScaler(), network).fit(x, y), {"steps": network.n_iter_}


def mlp(x, y, job):
    """Train scikit-learn's network on standardised inputs and outputs."""
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    if job["labels"]:
        model, about = _mlp(MLPClassifier, x, y, job)
        return model.predict, about
    shift, scale = y.mean(), y.std() or 1.0
    model, about = _mlp(MLPRegressor, x, (y - shift) / scale, job)
    return lambda points: shift + scale * model.predict(points), about


def boosting(x, y, job):
    """Boost scikit-learn's trees as shipped, or with the job's options."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    kind = HistGradientBoostingClassifier if job["labels"] else HistGradientBoostingRegressor
    model = kind(random_state=job["seed"], **job["options"]).fit(x, y)
    return model.predict, {"steps": model.n_iter_}


FITS = {
    "adabasis": adabasis,
    "plain": plain,
    "tolerance": tolerance,
    "mlp": mlp,
    "boosting": boosting,
}


def peak_memory():
    """Return the largest resident size of this process so far in bytes.

    ``getrusage`` would count the size of the process that started this one.
    """
    try:
        lines = pathlib.Path("/proc/self/status").read_text().splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return size if sys.platform == "darwin" else 1024 * size


def cpu_seconds():
    """Return the CPU seconds of this process since it began, and of those that it started."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def main(job_path, result_path):
    """Do the job, and store predictions and what it took."""
    with np.load(job_path) as stored:
        x, y, job = stored["x"], stored["y"], json.loads(str(stored["job"]))
    fit, wall, cpu = FITS[job["fit"]], BEGAN, 0.0
    for _ in range(job["before"]):
        fit(x, y, job)
        wall, cpu = time.perf_counter(), cpu_seconds()
    predict, about = fit(x, y, job)
    record = {"seconds": time.perf_counter() - wall, "cpu_seconds": cpu_seconds() - cpu}
    record |= {"memory": peak_memory(), "status": "", "compile_seconds": 0.0} | about
    with np.load(job_path) as stored:
        predicted = predict(stored["x_test"])
    np.savez(result_path, predicted=predicted, record=json.dumps(record))


if __name__ == "__main__":
    main(*sys.argv[1:])
