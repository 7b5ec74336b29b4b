"""Configuration of the documentation; ``make docs`` builds it, without a network."""

import os
import pathlib
import sys

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE))
os.environ.setdefault("MPLBACKEND", "Agg")

import adabasis  # noqa: E402

(HERE / "_build" / "pages").mkdir(parents=True, exist_ok=True)  # filled by transcripts

project = "adabasis"
author = copyright = "The adabasis developers"
release = version = adabasis.__version__
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "sphinx_gallery.gen_gallery",
    "numpydoc",
    "examples_of_names",
    "formulas",
    "finished_pages",
    "transcripts",
]
exclude_patterns = ["_build", "auto_examples/**/*.ipynb", "sg_execution_times.rst"]
templates_path = ["_templates"]
myst_heading_anchors = 2
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
html_theme = "furo"
html_title = "adabasis"
html_static_path = ["_static"]
html_css_files = ["plain.css"]
html_extra_path = ["_build/pages"]
html_show_sphinx = False
html_copy_source = False
html_math_renderer = "mathml"
autodoc_typehints = "none"  # the docstrings name the types, with shapes
autodoc_member_order = "bysource"
add_module_names = False
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

# Scripts run when the pages are built, unless neither they nor the package have changed.
RAN = HERE / "_build" / "gallery-ran"  # as old as what its scripts printed
CHANGED = max(file.stat().st_mtime for file in HERE.parent.joinpath("src").rglob("*.py"))
sphinx_gallery_conf = {
    "run_stale_examples": not RAN.exists() or RAN.stat().st_mtime < CHANGED,
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": r"plot_",
    "ignore_pattern": r"make_|__init__",
    "reset_modules": ("matplotlib",),
    "capture_repr": (),
    "download_all_examples": False,
    "show_signature": False,
    "min_reported_time": 1e9,  # seconds are those of a shared machine
    "write_computation_times": False,  # and their page loads scripts from elsewhere
    "nested_sections": False,
    "abort_on_example_error": False,
    "only_warn_on_example_error": True,
}


def _ran(app, error):
    if error is None and sphinx_gallery_conf["run_stale_examples"]:
        RAN.touch()
        os.utime(RAN, (CHANGED, CHANGED))


def setup(app):
    """Remember when the gallery's scripts have run."""
    app.connect("build-finished", _ran)
