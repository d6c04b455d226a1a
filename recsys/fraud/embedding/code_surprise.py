"""How surprising a code is under the last layer of a head: the layer and -log softmax in one.

The logits of a few hundred transactions at a time stay in the cache of a core, with one row of the
array for each code. All loops run along transactions, so that they use vector instructions and add
up the logits of each transaction in the same order wherever it stands.

Shapes: B rows of a block, T rows of a tile, H width of the hidden layer, V codes of a column.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from recsys.arrays import Float32Array, Int64Array
from recsys.compiled import compiled
from recsys.features.encoder import UNSEEN

_MAX_TILE_LOGITS = 170_000  # as float32 they fill two thirds of a cache of 1 MiB
_TILE_ROWS = (3360, 1680, 840, 560, 420, 336, 280, 240, 210, 168, 120)  # all divide a block

# exp as in Cephes (Moshier, expf.c): 2^n times a polynomial of what remains.
_LOG2_E, _LN2_HIGH, _LN2_LOW = map(np.float32, (1.44269504, 0.693359375, -2.12194440e-4))
_C6, _C5, _C4, _C3, _C2 = map(
    np.float32,
    (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1),
)
_C1, _ONE, _LEAST = map(np.float32, (5.0000001201e-1, 1.0, -87.0))
_ROUND = np.float32(3 * 2**22)  # a float32 this large has no room for a fraction
_MANTISSA_BITS, _BITS_OF_ONE = np.int32(23), np.int32(0x3F800000)


def code_surprise(hidden_BH: Tensor, last: nn.Linear, codes_B: Tensor) -> Tensor:
    """-log p(code), not negative; for `UNSEEN` that of the least likely code. Shape (B,).

    Args:
        hidden_BH: What the last layer reads.
        last: The last layer, V outputs.
        codes_B: Codes from 0 to V - 1.
    """
    num_rows, num_codes = len(hidden_BH), last.out_features
    fitting = [rows for rows in _TILE_ROWS if rows * num_codes <= _MAX_TILE_LOGITS]
    tile_rows = min(fitting[0] if fitting else _TILE_ROWS[-1], num_rows)
    logits_VT = hidden_BH.new_empty(num_codes, tile_rows)
    bias_V1 = last.bias[:, None]
    surprise_B = hidden_BH.new_empty(num_rows)
    highest_T, total_T = np.empty((2, tile_rows), dtype=np.float32)
    codes, surprise = codes_B.numpy(), surprise_B.numpy()
    for start in range(0, num_rows, tile_rows):
        rows = slice(start, start + tile_rows)
        hidden_HT = hidden_BH[rows].T
        tile_VT = logits_VT[:, : hidden_HT.shape[1]]
        torch.addmm(bias_V1, last.weight, hidden_HT, out=tile_VT)
        _surprise(tile_VT.numpy(), codes[rows], highest_T, total_T, surprise[rows])
    return surprise_B


@compiled
def _surprise(
    logits_VT: Float32Array,
    codes_T: Int64Array,
    highest_T: Float32Array,
    total_T: Float32Array,
    surprise_T: Float32Array,
) -> None:
    """Surprise of the code of each column of logits, written in place."""
    num_codes, num_rows = logits_VT.shape
    for row in range(num_rows):
        highest_T[row] = logits_VT[0, row]
        total_T[row] = 0.0
    for code in range(1, num_codes):
        logits_T = logits_VT[code]
        for row in range(num_rows):
            highest_T[row] = max(highest_T[row], logits_T[row])
    for code in range(num_codes):
        logits_T = logits_VT[code]
        for row in range(num_rows):
            total_T[row] += _exp(logits_T[row] - highest_T[row])
    for row in range(num_rows):
        logit = logits_VT[codes_T[row], row]
        if codes_T[row] == UNSEEN:
            # `MISSING` is a value like any other: it may be usual or never seen.
            for code in range(UNSEEN, num_codes):
                logit = min(logit, logits_VT[code, row])
        surprise_T[row] = max(math.log(total_T[row]) + (highest_T[row] - logit), 0.0)


@compiled
def _exp(x: np.float32) -> np.float32:
    """The exponential of a number that is not positive, to the rounding of float32."""
    x = max(x, _LEAST)
    rounded = x * _LOG2_E + _ROUND
    power = rounded - _ROUND
    rest = (x - power * _LN2_HIGH) - power * _LN2_LOW
    terms = ((((_C6 * rest + _C5) * rest + _C4) * rest + _C3) * rest + _C2) * rest + _C1
    # The last bits of `rounded` are the power as a whole number; they become the exponent.
    bits = np.int32((np.float32(rounded).view(np.int32) << _MANTISSA_BITS) + _BITS_OF_ONE)
    return (terms * (rest * rest) + rest + _ONE) * np.int32(bits).view(np.float32)
