"""Configuration of the documentation; ``make docs`` builds it, without a network."""

import pathlib
import sys

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE))

import adabasis  # noqa: E402

(HERE / "_build" / "pages").mkdir(parents=True, exist_ok=True)  # filled by transcripts

project = "adabasis"
author = copyright = "The adabasis developers"
release = version = adabasis.__version__
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.viewcode",
    "numpydoc",
    "transcripts",
]
exclude_patterns = ["_build", "auto_examples"]
myst_enable_extensions = ["colon_fence", "deflist"]
html_theme = "furo"
html_title = "adabasis"
html_static_path = ["_static"]
html_css_files = ["plain.css"]
html_extra_path = ["_build/pages"]
html_show_sphinx = False
html_copy_source = False
autodoc_typehints = "none"  # the docstrings name the types, with shapes
autodoc_member_order = "bysource"
add_module_names = False
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
