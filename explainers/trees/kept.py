"""numba's compiled kernels as a worker takes them: read where they were left, never written.

Whoever could write there would run code in every later worker. `explainers.trees.warm` writes them, outside the
fence. A worker names these classes to numba by its setting NUMBA_CACHE_LOCATOR_CLASSES; nothing else imports this.
"""

import sys
from typing import Any

from numba.core.caching import IndexDataCacheFile, InTreeCacheLocator, UserProvidedCacheLocator


class Named(UserProvidedCacheLocator):
    """Kernels in the folder that NUMBA_CACHE_DIR names."""

    def ensure_cache_path(self) -> None:
        """numba's own writes a file here, to see whether it may."""


class BesideTheCode(InTreeCacheLocator):
    """Kernels in the `__pycache__` of their module."""

    def ensure_cache_path(self) -> None:
        """numba's own writes a file here, to see whether it may."""


def _leave(file: IndexDataCacheFile, _key: Any, _data: Any) -> None:
    print(f"{file._index_name} was compiled again: run python -m explainers.trees.warm", file=sys.stderr)


IndexDataCacheFile.save = _leave
