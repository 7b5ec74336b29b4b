"""Fitting partition of unity networks without luck: the pieces first, then Gauss–Newton.

Random partitions rarely find many pieces: descent moves borders a little, but does not carry a part
across another. So the pieces come first, as labels of points (:mod:`adabasis.pou.candidates`), and
a partition that tells the labels apart is where Gauss–Newton steps begin. What they add is what
labels cannot say: borders between the points, smooth passages, polynomials that meet.
"""

from __future__ import annotations

import functools
import math
import numbers
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .._runtime.arguments import told_arguments
from .._runtime.progress import Callback
from ..basis import AbstractPartition, PartitionBasis
from ..basis.pou.named import PARTITIONS
from ..evidence.judge import judge
from ..geometry.maps import input_transforms, periodic_columns
from ..models.fitted import Fitted
from ..models.record import Asked
from ..models.timings import with_timings
from ..regression.api import refit
from ..regression.robust import taking_losses
from ..regression.streamed import Numbers, taking_sources
from ..regression.transforms import with_transforms
from ..regression.uncertainty import calibrated
from ..selection.holdout import holding_out
from ..selection.prepared import Prepared
from ..selection.search import Candidate, Search
from ..selection.stream import SAMPLE_ROWS, Stream
from ..selection.workers import on_workers
from .noisy import MixtureStrategy, MixtureTask
from .starts import STARTS, SegmentationOptions
from .strategy import POUNetStrategy, POUNetTask

#: Distinct rows from which some are held out: of fewer, pieces need all.
FEWEST_TO_SPLIT = 100


class Pieces(Numbers):
    """What is done with rows of a source beside the search for pieces on a sample."""

    def check(self, call: str, given: Mapping[str, Any]) -> None:
        """Refuse noise levels of the parts, which are found with all rows in memory.

        Raises
        ------
        ValueError
        """
        super().check(call, given)
        if given.get("noise", "same") != "same":
            raise ValueError(
                f"{call}(source, noise={given['noise']!r}): of more than {SAMPLE_ROWS:,} rows "
                "noise levels of parts are not found chunk by chunk. Fit a part of the rows in "
                "memory (fit_pounet(X[:100_000], y[:100_000], noise='parts')), or leave noise out."
            )


@told_arguments
@on_workers
@with_timings
@taking_sources(lambda *rows, **named: _search(*rows, **named), Pieces())
@holding_out(judge, refit, calibrated)
@taking_losses(refit)
def fit_pounet(
    X: Any,
    y: Any = None,
    *,
    n_partitions: int | str = "auto",
    degree: int | str = "auto",
    partition: str | AbstractPartition = "auto",
    index_set: str = "total",
    start: str = "auto",
    noise: str = "same",
    sample_weight: Any = None,
    groups: Any = None,
    loss: str = "squared",
    quantile: float = 0.5,
    max_steps: int | None = None,
    max_seconds: float = math.inf,
    tol: float = 0.0,
    n_restarts: int | str = "auto",
    ridge: float | str = "auto",
    validation: Any = "auto",
    random_state: int = 0,
    callbacks: Iterable[Callback] = (),
    verbose: bool = False,
    effort: str = "auto",
    target_transform: str | Sequence[str | None] | None = None,
    input_transform: str | Mapping[int | str, str | None] | None = None,
    periodic: Mapping[int | str, float] | None = None,
) -> Fitted:
    r"""Fit a partition of unity network: polynomials of pieces, and where the pieces are.

    Parameters
    ----------
    X : array-like, shape (N, D), or rows that are read chunk by chunk
        Those of files, arrays on disk, chunks, or a source, as :func:`adabasis.fit` takes them. Of
        more than 100,000 rows a sample tells the pieces, and polynomials are solved on all.
    y : array-like, shape (N,) or (N, Q)
        Targets; none where X is rows that hold them.
    n_partitions : int or "auto"
        N_part. ``"auto"`` compares numbers by the error on rows held out (in one input: by
        Schwarz's criterion first; of a fixed grid by leave-one-out). A number that the rows cannot
        fill may end as fewer. A partition that is given as an object has its own number.
    degree : int or "auto"
        Of the polynomials, likewise.
    partition : str or AbstractPartition
        A name in ``adabasis.basis.PARTITIONS``, or ``"auto"``: intervals in one input, borders
        that are planes, conics or quartics in more, whichever classify the held-out rows best.
        A partition of a kind of your own is trained from what its ``init`` draws.
    index_set : {"total", "tensor", "hyperbolic"}
        See :class:`adabasis.PartitionBasis`.
    start : {"auto", "segments", "merging", "insertion", "cuts", "tree"}
        Where the pieces come from: dynamic programming (one input), small cells that are merged,
        pieces inserted where the residual is largest, oblique cuts from coarse to fine, a
        regression tree with polynomial leaves. ``"auto"``: the first in one input, merging in two
        and three, cuts in more.
    noise : {"same", "parts"}
        ``"parts"``: every part has a noise level of its own, found with it by
        expectation–maximisation (a probabilistic POUnet, arXiv:2107.03066); parts are also told
        apart by their noise alone. The result is a
        :class:`~adabasis.pou.probabilistic.ProbabilisticPOUNet`, which knows the standard deviation
        of a new value everywhere. Of exact data, levels end at a relative 1e-11, which is
        round-off: a level of 0 would be infinitely likely.
    sample_weight, groups, loss, quantile, holdout, max_steps, max_seconds, tol, ridge, validation
        As in :func:`adabasis.fit`; steps are Gauss–Newton steps, 60 a run by default.
    random_state, callbacks, verbose, client, checkpoint
        As in :func:`adabasis.fit`.
    target_transform, input_transform, periodic
        As there. Pieces are polynomials of what these make of inputs and targets; by default they
        are of the inputs as they are.
    effort : {"fast", "auto", "thorough"}
        How much training may take: of the best one, two or eight choices of pieces.
    n_restarts : int or "auto"
        Nothing is drawn at random where pieces come from the data: one start serves (``"auto"``).
        More are draws of a partition of a kind of your own.

    Returns
    -------
    Fitted or ProbabilisticPOUNet
        Its ``basis`` is a :class:`adabasis.PartitionBasis`.

    Raises
    ------
    ValueError
        For bad data, names that are not known, or more coefficients asked for than there are
        rows.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.linspace(0, 1, 200)[:, None]
    >>> model = fit_pounet(X, np.abs(X[:, 0] - 0.3))
    >>> model.basis.n_partitions, bool(abs(model([[0.3]])[0]) < 1e-9)
    (2, True)
    """
    return _search(**locals())


def _search(
    X: Any,
    y: Any,
    *,
    n_partitions: int | str = "auto",
    degree: int | str = "auto",
    partition: str | AbstractPartition = "auto",
    index_set: str = "total",
    start: str = "auto",
    noise: str = "same",
    sample_weight: Any = None,
    groups: Any = None,
    loss: str = "squared",
    quantile: float = 0.5,
    max_steps: int | None = None,
    max_seconds: float = math.inf,
    tol: float = 0.0,
    n_restarts: int | str = "auto",
    ridge: float | str = "auto",
    validation: Any = "auto",
    random_state: int = 0,
    callbacks: Iterable[Callback] = (),
    verbose: bool = False,
    effort: str = "auto",
    target_transform: str | Sequence[str | None] | None = None,
    input_transform: str | Mapping[int | str, str | None] | None = None,
    periodic: Mapping[int | str, float] | None = None,
    stream: Stream | None = None,
) -> Fitted:
    """Do the work of :func:`fit_pounet`, of rows in memory that may be a sample of a stream."""
    asked = Asked(
        "fit_pounet",
        "pounet",
        max_steps,
        max_seconds,
        tol,
        n_restarts,
        ridge=ridge,
        validation="given" if isinstance(validation, tuple) else validation,
        random_state=random_state,
        n_partitions=_number("n_partitions", n_partitions, 1) or "auto",
        degree=degree,
        partition=partition if isinstance(partition, str) else repr(partition),
        index_set=index_set,
        start=start,
        noise=noise,
        loss=loss,
        quantile=quantile,
        target_transform=target_transform,
        input_transform=input_transforms("fit_pounet", X, input_transform),
        periodic=periodic_columns("fit_pounet", X, periodic),
        effort=effort,
    )
    search: Search[Candidate] = Search(asked, callbacks, verbose)
    wanted = SegmentationOptions(
        count=_count(n_partitions, partition),
        degree=_number("degree", degree, 0),
        index_set=index_set,
        start=start,
        seed=random_state,
        deadline=search.deadline,
        noise=noise,
    )
    _check_noise(asked)
    prepared = functools.partial(
        Prepared,
        "fit_pounet",
        X,
        y,
        sample_weight,
        validation,
        random_state,
        split_by_default=True,
        fewest_to_split=FEWEST_TO_SPLIT,
        groups=groups,
        stream=stream,
    )
    data, choice = with_transforms(prepared, asked, ())
    _check(wanted, partition, data)
    of_task, strategy = KINDS[noise]
    task = of_task(asked, data, choice=choice)
    return search.run(task, strategy(search, task, wanted, partition).run)


#: What ``noise`` may be, and who does it.
KINDS: dict[str, tuple[type[POUNetTask], type[POUNetStrategy]]] = {
    "same": (POUNetTask, POUNetStrategy),
    "parts": (MixtureTask, MixtureStrategy),
}


def _check_noise(asked: Asked) -> None:
    """Refuse kinds of noise that are not known, and what has no likelihood of Gaussians."""
    if not isinstance(asked.noise, str) or asked.noise not in KINDS:
        raise ValueError(f"fit_pounet(noise={asked.noise!r}): expected 'same' or 'parts'.")
    if asked.noise == "same":
        return
    if asked.loss != "squared":
        raise ValueError(
            f"fit_pounet(noise='parts', loss={asked.loss!r}): noise levels are those of Gaussians, "
            "whose loss is 'squared'. Leave loss out, or noise."
        )
    if asked.target_transform is not None:
        raise ValueError(
            f"fit_pounet(noise='parts', target_transform={asked.target_transform!r}): noise levels "
            "are in the units of the target. Leave target_transform out, or transform y."
        )


def _number(name: str, value: Any, least: int) -> int | None:
    if isinstance(value, str) and value == "auto":
        return None
    whole = int(value) if isinstance(value, float) and value.is_integer() else value
    if isinstance(whole, bool) or not isinstance(whole, numbers.Integral) or whole < least:
        raise ValueError(
            f"fit_pounet({name}={value!r}): 'auto' or a whole number of at least {least}."
        )
    return int(whole)


def _count(asked: Any, partition: Any) -> int | None:
    """Return N_part as asked for, or that of a partition that is given."""
    count = _number("n_partitions", asked, 1)
    if not isinstance(partition, AbstractPartition):
        return count
    if count not in (None, partition.n_partitions):
        raise ValueError(
            f"fit_pounet(n_partitions={asked}, partition={partition!r}): the two numbers differ; "
            "give the same, or leave n_partitions out."
        )
    return partition.n_partitions


def _check(wanted: SegmentationOptions, partition: Any, data: Prepared) -> None:
    """Refuse what cannot be meant or cannot be fitted to these rows."""
    n_rows, n_inputs = data.z.shape
    if wanted.start not in ("auto", *STARTS):
        raise ValueError(
            f"fit_pounet(start={wanted.start!r}): expected 'auto' or one of {', '.join(STARTS)}."
        )
    if wanted.start == "segments" and n_inputs != 1:
        raise ValueError(
            f"fit_pounet(start='segments'): segments are of one input; these data have {n_inputs}."
        )
    if not isinstance(partition, AbstractPartition) and partition not in ("auto", *PARTITIONS):
        raise ValueError(
            f"fit_pounet(partition={partition!r}): expected 'auto' or one of "
            f"{', '.join(PARTITIONS)}, or an AbstractPartition."
        )
    count, degree = wanted.count or 1, wanted.degree or 0
    size = PartitionBasis(count, degree, index_set=wanted.index_set).size(n_inputs)
    other = wanted.index_set != "hyperbolic" and n_inputs > 1
    if size > n_rows and (count > 1 or degree > 0):
        asked = f"n_partitions={wanted.count or 'auto'}, degree={degree}"
        raise ValueError(
            f"fit_pounet({asked}, index_set={wanted.index_set!r}): {count} times "
            f"{size // count:,} polynomials of {n_inputs} inputs are {size:,} coefficients for "
            f"{n_rows:,} distinct rows. Ask for fewer"
            + (", or for index_set='hyperbolic'." if other else ".")
        )
