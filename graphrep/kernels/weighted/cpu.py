"""x"""

from graphrep.kernels._dispatch import register
from graphrep.kernels.weighted import tiles

for f in (
    tiles.label_contrast,
    tiles.label_contrast_backward,
    tiles.network_contrast,
    tiles.network_contrast_backward,
    tiles.network_moments,
):
    register(f.__name__, "cpu")(f)
