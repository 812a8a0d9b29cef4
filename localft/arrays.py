"""Arrays that are written whole, or not at all."""

from __future__ import annotations

from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray


class _WrittenWhole(np.ndarray):
    def tofile(self, file: BinaryIO, *_: Any) -> None:  # type: ignore[override]
        file.write(np.ascontiguousarray(self).data)


def whole(array: NDArray[Any]) -> NDArray[Any]:
    """The same array, for `np.save` and GGUFWriter: what the disk refuses of it raises OSError.

    They call `tofile`, whose own form holds back up to 4 KiB, and tells nobody when the disk has no room for them.
    """
    return array.view(_WrittenWhole)
