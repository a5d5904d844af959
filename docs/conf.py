"""Configuration of the documentation build; it needs no network."""

from pathlib import Path

from docutils import nodes

import skcollapse
from skcollapse._utils.doc_link import DOCS_URL

project = "skcollapse"
author = "The skcollapse developers"
copyright = "2026, The skcollapse developers"
version = release = skcollapse.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "numpydoc",
    "myst_parser",
    "sphinx_gallery.gen_gallery",
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "_templates"]
nitpicky = True

# API pages
autosummary_generate = True
autodoc_typehints = "none"
autodoc_member_order = "groupwise"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

# Gallery
sphinx_gallery_conf = {
    "examples_dirs": ["../examples"],
    "gallery_dirs": ["auto_examples"],
    "filename_pattern": r"plot_.*\.py$",
    "doc_module": ("skcollapse",),
    "reference_url": {"skcollapse": None},
    "backreferences_dir": "gen_modules/backreferences",
    "within_subsection_order": "FileNameSortKey",
    "download_all_examples": False,
    "show_memory": False,
    "plot_gallery": "True",
}

# Pages
html_theme = "pydata_sphinx_theme"
html_title = "skcollapse"
html_baseurl = DOCS_URL
html_theme_options = {
    "show_prev_next": False,
    "secondary_sidebar_items": ["page-toc"],
    "navbar_end": ["theme-switcher"],
}
html_show_sourcelink = False


# References to other projects become links without an inventory to download: the
# address of a page follows from the name.
_PAGES = {
    "sklearn": "https://scikit-learn.org/stable/modules/generated/{name}.html",
    "numpy": "https://numpy.org/doc/stable/reference/generated/{name}.html",
    "scipy": "https://docs.scipy.org/doc/scipy/reference/generated/{name}.html",
    "torch": "https://docs.pytorch.org/docs/stable/generated/{name}.html",
    "matplotlib": "https://matplotlib.org/stable/api/_as_gen/{name}.html",
}
# What the docstrings that estimators inherit refer to.
_SKLEARN_LABELS = {
    "accuracy_score": "modules/model_evaluation.html#accuracy-score",
    "df_output_transform": "modules/df_output_transform.html",
    "metadata_routing": "metadata_routing.html",
    "sphx_glr_auto_examples_miscellaneous_plot_set_output.py": (
        "auto_examples/miscellaneous/plot_set_output.html"
    ),
}


def _external_url(node):
    """Return where another project documents what `node` names, or None."""
    target = node.get("reftarget", "")
    if node.get("refdomain") == "py":
        pattern = _PAGES.get(target.partition(".")[0])
        return pattern and pattern.format(name=target)
    if node.get("reftype") == "term":
        term = target.replace(" ", "-")
        return f"https://scikit-learn.org/stable/glossary.html#term-{term}"
    if node.get("reftype") == "ref" and target in _SKLEARN_LABELS:
        return f"https://scikit-learn.org/stable/{_SKLEARN_LABELS[target]}"
    return None


def _resolve_external(app, env, node, contnode):
    url = _external_url(node)
    if url is None:
        return None
    return nodes.reference("", "", contnode, internal=False, refuri=url)


_BENCHMARK_PAGES = """
.. toctree::
   :glob:
   :maxdepth: 1

   benchmarks/*
"""


def _list_benchmarks(app, docname, source):
    """Add the pages in benchmarks/ to benchmarks.rst, if there are any."""
    pages = (Path(app.srcdir) / "benchmarks").glob("*")
    if docname == "benchmarks" and any(p.suffix in {".rst", ".md"} for p in pages):
        source[0] += _BENCHMARK_PAGES


def setup(app):
    """Connect what the build adds to the pages."""
    app.connect("missing-reference", _resolve_external)
    app.connect("source-read", _list_benchmarks)
