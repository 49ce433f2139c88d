"""The errors graphrep raises: every message says what is wrong, where, and what to do about it."""

from __future__ import annotations

__all__ = [
    "CheckpointMismatchError",
    "ChecksumError",
    "DTypeError",
    "DeviceError",
    "DivergedError",
    "DownloadError",
    "EdgeListError",
    "EmptyGraphError",
    "FileFormatError",
    "GraphrepError",
    "IndexRangeError",
    "LeakySplitError",
    "MissingExtraError",
    "MissingFeaturesError",
    "MissingLabelsError",
    "NonFiniteError",
    "OutOfMemoryError",
    "ShapeError",
    "UnknownNameError",
]


class GraphrepError(ValueError):
    r"""Base of all errors raised for bad input.

    Args:
        message: one sentence with the offending values.
        hint: what to do; shown on a line of its own after ``Try:``.

    Example:
        >>> str(GraphrepError("edge_index must have shape (2, E); got (5, 2).", hint="edge_index.t()"))
        'edge_index must have shape (2, E); got (5, 2).\nTry: edge_index.t()'
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        self.message = message
        self.hint = hint
        super().__init__(message if hint is None else f"{message}\nTry: {hint}")


class EdgeListError(GraphrepError):
    """A text file is not an edge list (a row with too few columns, a weight that is no number, ...)."""


class FileFormatError(GraphrepError):
    """A file is missing, truncated, of another format than its name says, or holds pickled objects."""


class IndexRangeError(GraphrepError, IndexError):
    """A node or row id is negative or not below the number of nodes or rows."""


class ShapeError(GraphrepError):
    """An array has another shape than the call needs."""


class DTypeError(GraphrepError, TypeError):
    """An array has another dtype than the call needs (float ids, complex features, ...)."""


class NonFiniteError(GraphrepError):
    """NaN or infinity where a finite number is needed."""


class LeakySplitError(GraphrepError):
    """Edges that are held out for testing also occur in the training edges."""


class EmptyGraphError(GraphrepError):
    """The graph has no nodes, or no edges where the method needs some."""


class MissingFeaturesError(GraphrepError):
    """The method needs node features and the graph has none."""


class MissingLabelsError(GraphrepError):
    """The protocol needs labels and none were given."""


class UnknownNameError(GraphrepError, LookupError):
    """No method, data set, recipe, protocol or option has that name."""


class MissingExtraError(GraphrepError, ImportError):
    """An optional package is needed and not installed."""


class DeviceError(GraphrepError):
    """The device or kernel backend asked for cannot be used here, or the arguments lie on different devices."""


class OutOfMemoryError(GraphrepError, MemoryError):
    """The work would not fit in the memory that is free."""


class CheckpointMismatchError(GraphrepError):
    """A saved state belongs to another graph, other settings or another version."""


class DivergedError(GraphrepError, ArithmeticError):
    """The loss or a gradient became NaN or infinite during training; the last good state was kept."""


class DownloadError(GraphrepError):
    """A data set could not be fetched: no network, no such address, or a transfer that broke off."""


class ChecksumError(DownloadError):
    """What was fetched is not what the data set's card describes."""
