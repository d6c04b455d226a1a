"""Robust scaling of numeric columns, so that a few extreme values do not set the scale."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recsys.arrays import Float32Array, FloatArray

_IQR_OF_A_NORMAL = 1.349  # distance between the quartiles of a standard normal distribution
_CLIP = 10.0


@dataclass(frozen=True, kw_only=True)
class RobustScaler:
    """Centre by the median, scale by the interquartile range, clip far outliers."""

    median: float
    """Centre of the values seen at fitting."""
    spread: float
    """Interquartile range over 1.349, the standard deviation of a normal column; greater than 0."""

    @classmethod
    def fit(cls, values: FloatArray) -> RobustScaler:
        """Measure centre and spread of the finite values; 0 and 1 where there are none."""
        finite = values[np.isfinite(values)].astype(np.float64)
        if not len(finite):
            return cls(median=0.0, spread=1.0)
        low, median, high = np.quantile(finite, [0.25, 0.5, 0.75])
        if finite.min() == finite.max():  # the deviation of equal values need not round to 0
            return cls(median=float(median), spread=1.0)
        # Columns that are mostly one value have no interquartile range.
        spread = float(high - low) / _IQR_OF_A_NORMAL or float(finite.std())
        return cls(median=float(median), spread=spread)

    def scale(self, values: FloatArray) -> Float32Array:
        """Scaled values within ±10, 0 for NaN. Same shape."""
        scaled = (values.astype(np.float64) - self.median) / self.spread
        return np.nan_to_num(np.clip(scaled, -_CLIP, _CLIP), nan=0.0).astype(np.float32)
