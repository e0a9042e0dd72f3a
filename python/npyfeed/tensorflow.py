"""TensorFlow: arrays as tensors, without a copy where TensorFlow can compute on their memory."""

import tensorflow as tf

from npyfeed import _native

__all__ = ["from_array"]

# TensorFlow 2.21 takes a tensor that lies elsewhere, and ends the process at the first operation on it.
_ALIGNMENT_BYTES = 64


def from_array(array: _native.Array) -> tf.Tensor:
    """The array as a tensor on the CPU over its own memory, or over that of a copy.

    Shared is an array in C order and this machine's byte order whose elements start at a multiple of 64
    bytes, as those of an .npy file written by NumPy do. TensorFlow does not write to it; what is written
    to it through `array.numpy()`, the tensor shows.

    Copied, once and into C order, is one in Fortran order, with gaps (a field of records), in the other
    byte order, read-only, of 8-bit floats, or starting elsewhere (many members of an .npz file).

    Raises:
        UnsupportedError: the elements are not numbers.
        OSError: the file was cut short or written to since it was opened.

    >>> import numpy as np, npyfeed as nf, tempfile
    >>> path = tempfile.mkdtemp() + "/points.npy"
    >>> np.save(path, np.arange(3))
    >>> nf.open(path).tensorflow()
    <tf.Tensor: shape=(3,), dtype=int64, numpy=array([0, 1, 2])>
    """
    if array.dtype_name.startswith("float8"):  # the capsules that TensorFlow takes have no name for them
        copied = tf.constant(array.numpy().view(array.dtype_name))
        array.check()
        return copied
    return tf.experimental.dlpack.from_dlpack(array.__dlpack__(copy=None if _is_shared(array) else True))


def _is_shared(array: _native.Array) -> bool:
    view = array.numpy()
    is_plain = view.flags.c_contiguous and view.flags.writeable and view.dtype.isnative
    return is_plain and view.ctypes.data % _ALIGNMENT_BYTES == 0
