"""Import order is data-flow order, and importing the package costs nothing."""

import ast
import pathlib
import subprocess
import sys

import pytest

import adabasis

SOURCE = pathlib.Path(adabasis.__file__).parent
ORDER = """
_runtime.errors _runtime.arguments _runtime.arrays _runtime.summaries _runtime.registry
_runtime.notation
_runtime.backend _runtime.cache _runtime.timing _runtime.compute _runtime.progress _runtime
 geometry.points geometry.moments geometry.field_text geometry.fields geometry.surfaces
 geometry.curves geometry.pieces
 geometry.domains geometry.boxes
 geometry.levels geometry.shapes geometry.simplices geometry.polygons geometry.clouds geometry.mesh
 geometry.documents
 geometry.maps geometry
 basis.activations basis.layers basis.base  basis.networks basis.wrappers basis.enriched
basis.placed
basis.pou.polynomial basis.plain basis.pou.partition basis.pou.grid basis.pou.named
basis.pou.partitioned basis.pou basis
operators.base operators.derivatives operators.several operators.integrals
operators.expressions operators.complex_parts operators.coefficients
operators rows.engine rows.dask_engine rows.sources rows.stores rows.streams rows.terms rows
rows.closed_form
lstsq.cholesky lstsq.reduce lstsq.factorize lstsq.solve lstsq.losses lstsq.dissection lstsq
train.soap train.optimizer train.base train.blocks train.steps train.matrix_free
train.gauss_newton train.weights train.levenberg_marquardt train.schedule train.last_layer
train.ngd train.adam train.record train.passes train.exact train.tape train.keeping train.descent
train.feed train.batches train.chunked train.loop train
evidence.split evidence.errors evidence.replicates evidence.support evidence.intervals
evidence.left_out evidence.noise evidence.outliers
evidence.peers evidence.verdict evidence.paired evidence.label_sets evidence.sobol
evidence.judge evidence.classes evidence
 models.timings models.tolerance models.record models.files models.evaluation
 models.factor models.error_model models.uncertainty models.trust models.fitted models.loading
 models.classifier models.predictions models.verdicts models.comparison
 models.columns models.closed_sobol models.permutation models.importance models
callbacks
selection.checkpoints selection.search selection.places selection.stream selection.prepared
selection.members selection.task
selection.holdout selection.workers selection
regression.kriging regression.bases regression.remarks regression.choice regression.decades
regression.transforms
regression.units regression.solve regression.posterior regression.left_out regression.unseen
regression.uncertainty
regression.task regression.growth regression.projection regression.strategy
regression.reweighted regression.outliers regression.robust regression.streamed regression.api
regression.rungs regression.shortfall regression.tolerance regression
classification.solve classification.chunked classification.task classification.networks
classification.strategy classification.streamed classification.api classification
pou.segmentation pou.unequal pou.starts pou.borders pou.candidates pou.mixture pou.em
pou.probabilistic
pou.variants pou.strategy pou.noisy pou.api pou
pde.probe pde.sizes pde.statement pde.constraints pde.conditions pde.places pde.regions
pde.observations pde.scrutiny
pde.check pde.problem pde.added pde.balance pde.catalog
pde.collocation pde.modes pde.columns pde.system pde.posterior pde.newton
pde.enlarged pde.starts pde.placing pde.candidate pde.verdict pde.other_solutions pde.certificate
pde.cells pde.cell_rows pde.cell_newton pde.on_cells pde.cell_growth
pde.meshes pde.resolving pde.study
pde.solution pde.error_field pde.strategy pde.adapt
pde.api pde
estimators.following estimators.regressor estimators.classifier estimators.pounet estimators
plots.style plots.dependence plots.functions plots.equations plots.bases plots.records
plots.partitions plots.classes plots.importance plots
tables.numerals tables.columns tables.targets tables.dialect tables.summaries tables.source
tables.files tables.records tables.opening tables.file_set tables.frames tables.dates
tables.calendars tables.levels
tables.encoding tables.prepare tables.training tables.survey tables.table_rows tables.write tables
export.program export.trace export.python export.loops export.c export.javascript
export.onnx_graph export.stored export.table export.check export.files export.sums
export.formula export.page export.api export
report.origin report.joint report.words report.sections report.partitions report.tried report.fields
report.equations
report.classes report.importance
report.live report.page report.terminal report
experiments.kept experiments.registry experiments.advection experiments.advection_constant
experiments.advection_width experiments.advection_depth
experiments.published experiments.rates experiments.curves experiments.sine experiments.lsgd_vs_gd
experiments.lsgd_path experiments.image_collapse experiments.basis_functions
experiments.he_vs_box experiments.width_depth
experiments.pounets experiments.phases experiments.waves experiments.two_phase
experiments.spirals experiments.classes experiments.ngd_vs_gd experiments.classes_depth
experiments.cross_sine experiments.error_estimate experiments.steam_phases experiments.demo
experiments
cli.options cli.early cli.doctor cli.targets cli.tables cli.predictions cli.streams cli.compare
cli.exports cli.equations cli.reproduce cli.app cli
__main__ __init__
""".split()  # noqa: SIM905
HEAVY = ["equinox", "jax", "matplotlib", "numpy", "optax", "pyarrow", "rich", "scipy", "sklearn"]


def module_name(path):
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(SOURCE.rglob("*.py"))}


def imported(name, path):
    """Yield the adabasis modules that a module imports: in functions and for types alone, too."""
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    package = [] if name == "__init__" else package
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom):
            parts = node.module.split(".") if node.module else []
            if node.level:
                parts = package[: len(package) - node.level + 1] + parts
            elif parts[:1] == ["adabasis"]:
                parts = parts[1:]
            else:
                continue
            for alias in node.names:
                inside = ".".join([*parts, alias.name])
                yield inside if inside in MODULES else ".".join(parts) or "__init__"
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "adabasis":
                    yield alias.name.partition(".")[2] or "__init__"


@pytest.mark.parametrize("name", MODULES)
def test_a_module_imports_only_modules_above_it(name):
    assert name in ORDER, f"{name} is new: give it its place on the path, in ORDER of this test"
    above = set(ORDER[: ORDER.index(name)])
    below = [other for other in imported(name, MODULES[name]) if other not in above]
    assert not below, f"{name} imports {below}, which are not above it"


def test_the_reader_of_imports_sees_every_form(tmp_path):
    code = """
from . import loop
from .. import lstsq, rows
from ..basis import Box
import adabasis.regression.api
from .. import rows
import numpy
if TYPE_CHECKING:
    from ..cli import main
try:
    from .._runtime.compute import numerics
except ImportError:
    import adabasis
class C:
    from ..models.files import FORMAT
def f():
    from ..report import page
"""
    path = tmp_path / "steps.py"
    path.write_text(code)
    seen = "train.loop lstsq rows basis regression.api cli _runtime.compute __init__ models.files"
    assert set(imported("train.steps", path)) == {*seen.split(), "report.page"}


def test_no_source_holds_a_todo():
    mark = "TO" + "DO"
    assert not [str(path) for path in SOURCE.rglob("*.py*") if mark.encode() in path.read_bytes()]


def test_importing_the_package_loads_nothing_heavy():
    code = f"import adabasis, sys; print([m for m in {HEAVY} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_the_stub_names_what_the_package_offers():
    stub = ast.parse((SOURCE / "__init__.pyi").read_text("utf-8")).body
    offered = {}
    for node in stub:
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                assert alias.asname == alias.name, f"{alias.name}: not re-exported"
                offered[alias.name] = node.module
        elif isinstance(node, ast.AnnAssign):
            offered[node.target.id] = None
    assert len(adabasis.__all__) == len(set(adabasis.__all__))
    assert set(offered) == set(adabasis.__all__)
    for name, home in offered.items():
        assert home == adabasis._HOME.get(name)


def test_public_names_do_not_depend_on_what_was_imported_before():
    """A module of the same name, once imported, must not take the name's place."""
    code = """
import importlib, adabasis
homes = {name: importlib.import_module(f"adabasis.{m}") for name, m in adabasis._HOME.items()}
print([name for name, m in homes.items() if getattr(adabasis, name) is not getattr(m, name)])
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


@pytest.mark.parametrize("name", adabasis.__all__)
def test_every_public_name_resolves(name):
    assert getattr(adabasis, name) is not None
    assert name in dir(adabasis)


@pytest.mark.parametrize("name", ["domains", "points", "samplers"])
def test_modules_of_earlier_versions_are_found_with_a_warning(name):
    with pytest.warns(FutureWarning, match=r"use adabasis\.geometry"):
        assert getattr(adabasis, name) is adabasis.geometry


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = adabasis.nothing
