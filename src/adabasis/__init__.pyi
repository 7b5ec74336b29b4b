from . import basis as basis
from . import domains as domains
from . import lstsq as lstsq
from . import operators as operators
from . import pde as pde
from . import plots as plots
from . import points as points
from . import rows as rows
from . import samplers as samplers
from . import train as train
from .basis import AbstractBasis as AbstractBasis
from .basis import FrozenFeatures as FrozenFeatures
from .basis import NeuralBasis as NeuralBasis
from .basis import PartitionBasis as PartitionBasis
from .domains import Box as Box
from .estimators import AdaptiveBasisRegressor as AdaptiveBasisRegressor
from .fitted import Fitted as Fitted
from .fitted import load as load
from .fitting import fit as fit
from .fitting import refit as refit
from .pde.solution import Solution as Solution
from .pde.solving import solve as solve
from .train import GD as GD
from .train import LSGD as LSGD
from .train import LSGN as LSGN
from .train import TwoPhase as TwoPhase

__version__: str
