"""Change of sample rate."""

from __future__ import annotations

import numpy as np
import soxr
from numpy.typing import NDArray


def resample(pcm: NDArray[np.float32], rate_in: int, rate_out: int) -> NDArray[np.float32]:
    """Mono samples at `rate_out` Hz (soxr, high quality); the same array if the rate is already right."""
    if rate_in == rate_out:
        return pcm
    resampled: NDArray[np.float32] = soxr.resample(pcm, rate_in, rate_out, quality="HQ")
    return resampled
