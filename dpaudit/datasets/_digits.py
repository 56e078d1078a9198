"""The data set that is always there."""

import numpy as np

from dpaudit.datasets._pair import Pair


def digits() -> Pair:
    """Handwritten digits from scikit-learn's wheel (the test part of UCI Optical Recognition of Digits).

    Returns:
        x, float32 (1797, 64) in [0, 1] (8 x 8 images row by row, counts 0..16 divided by 16), and y, int64
        (1797,) in 0..9. Pixels 0, 32 and 39 are zero in every image.
    """
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    return np.asarray(x / 16, np.float32), np.asarray(y, np.int64)
