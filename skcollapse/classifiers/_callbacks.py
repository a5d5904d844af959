"""The callbacks of scikit-learn, which has them from version 1.9 on."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeVar

import sklearn

from skcollapse.fitting import NoContext

F = TypeVar("F", bound=Callable[..., Any])

# scikit-learn has no types: a type checker reads what follows.
if TYPE_CHECKING or not find_spec("sklearn.callback"):

    class CallbackSupportMixin:
        """An estimator without callbacks."""

        def set_callbacks(self, *callbacks: Any) -> Any:
            """Raise, since nothing would call them.

            Parameters
            ----------
            *callbacks : callbacks

            Raises
            ------
            ImportError
            """
            raise ImportError(
                "set_callbacks needs scikit-learn 1.9 or later, and this is "
                f"{sklearn.__version__}. Use verbose=True to follow a fit."
            )

        def _init_callback_context(self, max_subtasks: int = 0) -> Any:
            return NoContext()

    def with_callbacks(method: F) -> F:
        """Return the method as it is."""
        return method

else:
    from sklearn.callback import CallbackSupportMixin, with_callbacks


__all__ = ["CallbackSupportMixin", "with_callbacks"]
