"""The linear-regression sets of NIST's Statistical Reference Datasets, as printed there.

Source: National Institute of Standards and Technology, Statistical Reference Datasets (StRD),
linear regression, www.itl.nist.gov/div898/strd/lls/lls.shtml, DOI 10.18434/T43G6C. Data, certified
parameters and residual standard deviations are those of the certificates, digit by digit; a test
computes them anew in rational numbers.
"""

from __future__ import annotations

import dataclasses
import functools
from fractions import Fraction

import numpy as np


@dataclasses.dataclass(frozen=True, repr=False)
class Certified:
    """A set of rows, the model that is certified for it, and its certificate.

    Attributes
    ----------
    text : str
        The rows, decimals as printed.
    degree : int
        Of the polynomial in the inputs, of which there is one where the degree is above 1.
    parameters : str
        By rising power, the intercept first; of several inputs, by input.
    deviation : str
        Residual standard deviation, √(sum of squares/(rows − parameters)).
    intercept : bool
    """

    text: str
    degree: int
    parameters: str
    deviation: str
    intercept: bool = True

    @functools.cached_property
    def rows(self) -> list[list[Fraction]]:
        """The rows as rational numbers: y, then the inputs."""
        return [[Fraction(entry) for entry in line.split()] for line in self.text.splitlines()]

    @functools.cached_property
    def X(self) -> np.ndarray:
        """The inputs, (N, D)."""
        return np.array([[float(value) for value in row[1:]] for row in self.rows])

    @functools.cached_property
    def y(self) -> np.ndarray:
        """The response, (N,)."""
        return np.array([float(row[0]) for row in self.rows])

    @property
    def s(self) -> float:
        """The certified residual standard deviation."""
        return float(self.deviation)

    def terms(self, inputs: list[Fraction]) -> list[Fraction]:
        """Return the model's terms at one place."""
        first = [Fraction(1)] if self.intercept else []
        if self.degree == 1:
            return first + inputs
        return [inputs[0] ** power for power in range(self.degree + 1)]

    @functools.cached_property
    def inverse(self) -> list[list[Fraction]]:
        """The inverse of the matrix of the normal equations."""
        terms = [self.terms(row[1:]) for row in self.rows]
        n = len(terms[0])
        gram = [[sum(t[i] * t[j] for t in terms) for j in range(n)] for i in range(n)]
        whole = [row + [Fraction(i == j) for j in range(n)] for i, row in enumerate(gram)]
        for i in range(n):  # a Gram matrix of full rank: every pivot is positive
            whole[i] = [value / whole[i][i] for value in whole[i]]
            for k in range(n):
                if k != i:
                    factor = whole[k][i]
                    whole[k] = [a - factor * b for a, b in zip(whole[k], whole[i], strict=True)]
        return [row[n:] for row in whole]

    @functools.cached_property
    def exact(self) -> list[Fraction]:
        """The parameters of the least-squares fit, without rounding."""
        terms = [self.terms(row[1:]) for row in self.rows]
        right = [
            sum(t[i] * row[0] for t, row in zip(terms, self.rows, strict=True))
            for i in range(len(terms[0]))
        ]
        return [_dot(row, right) for row in self.inverse]

    @functools.cached_property
    def variance(self) -> Fraction:
        """The square of the residual standard deviation, without rounding."""
        return sum(r**2 for r in self._residuals) / (len(self.rows) - len(self.exact))

    @property
    def _residuals(self) -> list[Fraction]:
        return [row[0] - _dot(self.terms(row[1:]), self.exact) for row in self.rows]

    def __call__(self, X: np.ndarray) -> np.ndarray:
        """Return the values of the certified model at (N, D) points, rounded once."""
        places = [[Fraction(float(value)) for value in row] for row in X]
        return np.array([float(_dot(self.terms(place), self.exact)) for place in places])

    @functools.cached_property
    def left_out(self) -> np.ndarray:
        """Errors of the certified model at each row, fitted without it: r/(1 − leverage), (N,)."""
        terms = [self.terms(row[1:]) for row in self.rows]
        leverages = [_dot(t, [_dot(row, t) for row in self.inverse]) for t in terms]
        pairs = zip(self._residuals, leverages, strict=True)
        return np.array([float(r / (1 - leverage)) for r, leverage in pairs])


def _dot(a: list[Fraction], b: list[Fraction]) -> Fraction:
    return sum((p * q for p, q in zip(a, b, strict=True)), Fraction(0))


def _columns(y: str, x: str) -> str:
    """Return rows of two columns."""
    pairs = zip(y.split(), x.split(), strict=True)
    return "\n".join(f"{of_y} {of_x}" for of_y, of_x in pairs)


NORRIS = _columns(
    """
    0.1 338.8 118.1 888 9.2 228.1 668.5 998.5 449.1 778.9 559.2 0.3 0.1 778.1 668.8 339.3
    448.9 10.8 557.7 228.3 998 888.8 119.6 0.3 0.6 557.6 339.3 888 998.5 778.9 10.2 117.6
    228.9 668.4 449.2 0.2
    """,
    """
    0.2 337.4 118.2 884.6 10.1 226.5 666.3 996.3 448.6 777 558.2 0.4 0.6 775.5 666.9 338
    447.5 11.6 556 228.1 995.8 887.6 120.2 0.3 0.3 556.8 339.1 887.2 999 779 11.1 118.3
    229.2 669.1 448.9 0.5
    """,
)
PONTIUS = _columns(
    """
    0.11019 0.21956 0.32949 0.43899 0.54803 0.65694 0.76562 0.87487 0.98292 1.09146 1.20001
    1.30822 1.41599 1.52399 1.63194 1.73947 1.84646 1.95392 2.06128 2.16844 0.11052 0.22018
    0.32939 0.43886 0.54798 0.65739 0.76596 0.87474 0.983 1.0915 1.20004 1.30818 1.41613
    1.52408 1.63159 1.73965 1.84696 1.95445 2.06177 2.16829
    """,
    " ".join(str(150_000 * (1 + i % 20)) for i in range(40)),
)
FILIP = _columns(
    """
    0.8116 0.9072 0.9052 0.9039 0.8053 0.8377 0.8667 0.8809 0.7975 0.8162 0.8515 0.8766
    0.8885 0.8859 0.8959 0.8913 0.8959 0.8971 0.9021 0.909 0.9139 0.9199 0.8692 0.8872 0.89
    0.891 0.8977 0.9035 0.9078 0.7675 0.7705 0.7713 0.7736 0.7775 0.7841 0.7971 0.8329
    0.8641 0.8804 0.7668 0.7633 0.7678 0.7697 0.77 0.7749 0.7796 0.7897 0.8131 0.8498 0.8741
    0.8061 0.846 0.8751 0.8856 0.8919 0.8934 0.894 0.8957 0.9047 0.9129 0.9209 0.9219 0.7739
    0.7681 0.7665 0.7703 0.7702 0.7761 0.7809 0.7961 0.8253 0.8602 0.8809 0.8301 0.8664
    0.8834 0.8898 0.8964 0.8963 0.9074 0.9119 0.9228
    """,
    """
    -6.860120914 -4.324130045 -4.358625055 -4.358426747 -6.955852379 -6.661145254
    -6.355462942 -6.118102026 -7.115148017 -6.815308569 -6.519993057 -6.204119983
    -5.853871964 -6.109523091 -5.79832982 -5.482672118 -5.171791386 -4.851705903
    -4.517126416 -4.143573228 -3.709075441 -3.499489089 -6.300769497 -5.953504836
    -5.642065153 -5.031376979 -4.680685696 -4.329846955 -3.928486195 -8.56735134
    -8.363211311 -8.107682739 -7.823908741 -7.522878745 -7.218819279 -6.920818754
    -6.628932138 -6.323946875 -5.991399828 -8.781464495 -8.663140179 -8.473531488
    -8.247337057 -7.971428747 -7.676129393 -7.352812702 -7.072065318 -6.774174009
    -6.478861916 -6.159517513 -6.835647144 -6.53165267 -6.224098421 -5.910094889
    -5.598599459 -5.290645224 -4.974284616 -4.64454848 -4.290560426 -3.885055584
    -3.408378962 -3.13200249 -8.726767166 -8.66695597 -8.511026475 -8.165388579 -7.886056648
    -7.588043762 -7.283412422 -6.995678626 -6.691862621 -6.392544977 -6.067374056
    -6.684029655 -6.378719832 -6.065855188 -5.752272167 -5.132414673 -4.811352704
    -4.098269308 -3.66174277 -3.2644011
    """,
)
LONGLEY = """\
60323 83 234289 2356 1590 107608 1947
61122 88.5 259426 2325 1456 108632 1948
60171 88.2 258054 3682 1616 109773 1949
61187 89.5 284599 3351 1650 110929 1950
63221 96.2 328975 2099 3099 112075 1951
63639 98.1 346999 1932 3594 113270 1952
64989 99 365385 1870 3547 115094 1953
63761 100 363112 3578 3350 116219 1954
66019 101.2 397469 2904 3048 117388 1955
67857 104.6 419180 2822 2857 118734 1956
68169 108.4 442769 2936 2798 120445 1957
66513 110.8 444546 4681 2637 121950 1958
68655 112.6 482704 3813 2552 123366 1959
69564 114.2 502601 3931 2514 125368 1960
69331 115.7 518173 4806 2572 127852 1961
70551 116.9 554894 4007 2827 130081 1962"""
TWENTY = " ".join(str(i) for i in range(21))
WAMPLER = {
    1: """
    1 6 63 364 1365 3906 9331 19608 37449 66430 111111 177156 271453 402234 579195 813616
    1118481 1508598 2000719 2613660 3368421
    """,
    2: """
    1 1.11111 1.24992 1.42753 1.65984 1.96875 2.38336 2.94117 3.68928 4.68559 6 7.71561
    9.92992 12.75603 16.32384 20.78125 26.29536 33.05367 41.26528 51.16209 63
    """,
    3: """
    760 -2042 2111 -1684 3888 1858 11379 17560 39287 64382 113159 175108 273291 400186
    581243 811568 1121004 1506550 2002767 2611612 3369180
    """,
    4: """
    75901 -204794 204863 -204436 253665 -200894 214131 -185192 221249 -138370 315911 -27644
    455253 197434 783995 608816 1370781 1303798 2205519 2408860 3444321
    """,
    5: """
    7590001 -20479994 20480063 -20479636 25231365 -20476094 20489331 -20460392 18417449
    -20413570 20591111 -20302844 18651453 -20077766 21059195 -19666384 26348481 -18971402
    22480719 -17866340 10958421
    """,
}
ONES = " ".join(["1.00000000000000"] * 6)
SETS = {
    "Norris": Certified(NORRIS, 1, "-0.262323073774029 1.00211681802045", "0.884796396144373"),
    "Pontius": Certified(
        PONTIUS,
        2,
        "0.673565789473684E-03 0.732059160401003E-06 -0.316081871345029E-14",
        "0.205177424076185E-03",
    ),
    "NoInt1": Certified(
        _columns(" ".join(map(str, range(130, 141))), " ".join(map(str, range(60, 71)))),
        1,
        "2.07438016528926",
        "3.56753034006338",
        intercept=False,
    ),
    "NoInt2": Certified(
        _columns("3 4 4", "4 5 6"), 1, "0.727272727272727", "0.369274472937998", intercept=False
    ),
    "Filip": Certified(
        FILIP,
        10,
        """
        -1467.48961422980 -2772.17959193342 -2316.37108160893 -1127.97394098372 -354.478233703349
        -75.1242017393757 -10.8753180355343 -1.06221498588947 -0.670191154593408E-01
        -0.246781078275479E-02 -0.402962525080404E-04
        """,
        "0.334801051324544E-02",
    ),
    "Longley": Certified(
        LONGLEY,
        1,
        """
        -3482258.63459582 15.0618722713733 -0.358191792925910E-01 -2.02022980381683
        -1.03322686717359 -0.511041056535807E-01 1829.15146461355
        """,
        "304.854073561965",
    ),
    "Wampler1": Certified(_columns(WAMPLER[1], TWENTY), 5, ONES, "0.000000000000000"),
    "Wampler2": Certified(
        _columns(WAMPLER[2], TWENTY),
        5,
        """
        1.00000000000000 0.100000000000000 0.100000000000000E-01 0.100000000000000E-02
        0.100000000000000E-03 0.100000000000000E-04
        """,
        "0.000000000000000",
    ),
    "Wampler3": Certified(_columns(WAMPLER[3], TWENTY), 5, ONES, "2360.14502379268"),
    "Wampler4": Certified(_columns(WAMPLER[4], TWENTY), 5, ONES, "236014.502379268"),
    "Wampler5": Certified(_columns(WAMPLER[5], TWENTY), 5, ONES, "23601450.2379268"),
}
