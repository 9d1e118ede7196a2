"""Memory on a GPU: tensors, and one room for the activations of engines that run in turn."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .cuda import Cuda
from .engine import Array, Shape
from .errors import EngineError
from .tensors import check_array


class CudaBuffer:
    """A tensor on a GPU; see `engine.Buffer`. on_free: told once it is given back."""

    def __init__(
        self,
        cuda: Cuda,
        shape: Shape,
        dtype: np.dtype[np.generic] | type[np.generic],
        on_free: Callable[[CudaBuffer], None] | None = None,
    ) -> None:
        self._cuda, self._on_free = cuda, on_free
        self.shape = tuple(shape)
        self.dtype: np.dtype[np.generic] = np.dtype(dtype)
        self.nbytes = int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize
        self._sent: Array | None = None
        self._address: int | None = cuda.allocate(max(self.nbytes, 1))

    @property
    def address(self) -> int:
        """Where it lies; EngineError once it was freed."""
        if self._address is None:
            raise EngineError("this buffer was freed: allocate another")
        return self._address

    def upload(self, array: Array) -> None:
        """Queue a copy in; the array is kept, and must not be changed, until that is done."""
        check_array(self, array)
        self._sent = np.ascontiguousarray(array)
        self._cuda.upload(self.address, self._sent)

    def download(self) -> Array:
        """Wait for what is queued and copy out."""
        found: Array = np.empty(self.shape, self.dtype)
        self._cuda.download(found, self.address)
        self._cuda.synchronize()
        return found

    def free(self) -> None:
        """Give the memory back."""
        if self._address is not None:
            address, self._address = self._address, None
            self._cuda.free(address)
            self._sent = None
            if self._on_free is not None:
                self._on_free(self)


class Arena:
    """One block for the activations of all engines on a queue: they run one after the other.

    It grows to what the largest of them needs and no further.
    """

    def __init__(self, cuda: Cuda) -> None:
        self._cuda = cuda
        self.address = 0
        self.nbytes = 0
        self.version = 0
        """Another after each growth, for the block then lies elsewhere."""

    def reserve(self, nbytes: int) -> None:
        """Make sure that there are so many bytes; DeviceMemoryError where there are not."""
        if nbytes <= self.nbytes:
            return
        if self.nbytes:
            self.close()  # before, so that old and new need not fit side by side
            self._cuda.synchronize()  # until then the device's pool keeps it
        self.address = self._cuda.allocate(nbytes)
        self.nbytes = nbytes
        self.version += 1

    def close(self) -> None:
        """Give the block back; `reserve` takes another."""
        if self.nbytes:
            address, self.address, self.nbytes = self.address, 0, 0
            self.version += 1
            self._cuda.free(address)
