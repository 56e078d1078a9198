"""How the documentation is built: `make docs`, offline, every warning an error."""

import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))  # for the two modules beside this file

import docstrings  # noqa: E402
import reference  # noqa: E402

import dpaudit  # noqa: E402

project = "dpaudit"
author = "the dpaudit authors"
release = version = dpaudit.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
nitpicky = False  # the types of numpy and torch live in inventories that would have to be fetched

smartquotes = False  # eps' and "in" are as they are in the code
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3

autosummary_generate = False  # reference.py writes the pages
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the Args of the docstrings say more
napoleon_numpy_docstring = False
napoleon_use_ivar = True
python_use_unqualified_type_names = True

html_theme = "furo"
html_title = f"dpaudit {release}"
html_show_sourcelink = False
html_copy_source = False


def setup(app: Any) -> None:
    """The reference is written before the pages are looked for; docstrings are made reStructuredText."""
    reference.write(HERE / "api" / "modules")
    app.connect("autodoc-process-docstring", docstrings.process, priority=1)  # before napoleon
