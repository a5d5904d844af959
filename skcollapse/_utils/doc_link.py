"""The page of an estimator, for the link in its HTML representation."""

import sys

# The root of the published pages; docs/conf.py takes it from here.
DOCS_URL = "https://skcollapse.readthedocs.io/en/latest/"


class DocLinked:
    """Link estimators of this package to their page in the documentation.

    To stand before :class:`sklearn.base.BaseEstimator`, whose links it replaces.
    Subclasses of the user's own, in other packages, have no link.
    """

    _doc_link_module = "skcollapse"
    _doc_link_template = DOCS_URL + "api/{page}.html"

    def _doc_link_url_param_generator(self) -> dict[str, str]:
        """Return what the template needs: the page, named as users import the class."""
        name, parts = type(self).__name__, type(self).__module__.split(".")
        packages = (".".join(parts[:stop]) for stop in range(1, len(parts) + 1))
        public = next(p for p in packages if hasattr(sys.modules[p], name))
        return {"page": f"{public}.{name}"}
