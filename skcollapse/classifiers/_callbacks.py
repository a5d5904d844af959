"""The callbacks of scikit-learn, which has them from version 1.9 on."""

import sklearn

from skcollapse.fitting import NoContext

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:

    class CallbackSupportMixin:
        """An estimator without callbacks."""

        def set_callbacks(self, *callbacks):
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

        def _init_callback_context(self, max_subtasks=0):
            return NoContext()

    def with_callbacks(method):
        """Return the method as it is."""
        return method


__all__ = ["CallbackSupportMixin", "with_callbacks"]
