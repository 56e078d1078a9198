"""Shifts and flips of images."""

import numpy as np
import pytest

from dpaudit.errors import UsageError
from dpaudit.membership import Augmentation, shifts_and_flips


def shifted_by_loops(image, down, right, fill):
    height, width = image.shape
    made = np.full_like(image, fill)
    for row in range(height):
        for column in range(width):
            if 0 <= row - down < height and 0 <= column - right < width:
                made[row, column] = image[row - down, column - right]
    return made


@pytest.mark.parametrize("shape", [(3, 5, 6), (3, 2, 5, 6)])
def test_versions_are_all_shifts_and_their_mirror_images(shape):
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    made = shifts_and_flips(2, stride=2, fill=-1.0)(x)
    assert made.shape == (18, *shape)
    np.testing.assert_array_equal(made[0], x)
    image = x.reshape(-1, 5, 6)[1]
    expected = [shifted_by_loops(image, down, right, -1.0) for down in (-2, 0, 2) for right in (-2, 0, 2)]
    expected += [version[:, ::-1] for version in expected]
    got = made.reshape(18, -1, 5, 6)[:, 1]
    assert sorted(version.tobytes() for version in got) == sorted(
        np.ascontiguousarray(version).tobytes() for version in expected
    )


def test_without_flips_and_shifts_the_record_alone_is_left():
    x = np.ones((2, 4, 4))
    assert shifts_and_flips(0, flips=False)(x).shape == (1, 2, 4, 4)
    assert shifts_and_flips(1, flips=False)(x).shape == (9, 2, 4, 4)


def test_names_differ_where_versions_do():
    names = {
        shifts_and_flips(*given, **more).name
        for given, more in [
            ((1,), {}),
            ((2,), {}),
            ((2,), {"stride": 2}),
            ((1,), {"flips": False}),
            ((1,), {"fill": 1.0}),
        ]
    }
    assert len(names) == 5


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda x: x, r"shape \(A, \*\(2, 3\)\)"),
        (lambda x: np.stack([x + 1, x]), "the record itself as the first"),
    ],
)
def test_functions_that_break_the_rule_are_refused(function, said):
    with pytest.raises(UsageError, match=said):
        Augmentation("mine", function)(np.ones((2, 3)))


def test_images_too_small_or_no_images_are_refused():
    with pytest.raises(UsageError, match="less than the image"):
        shifts_and_flips(4)(np.ones((1, 4, 8)))
    with pytest.raises(UsageError, match=r"\(N, C, H, W\)"):
        shifts_and_flips(1)(np.ones((1, 4)))
    with pytest.raises(UsageError, match="pixels >= 0"):
        shifts_and_flips(-1)
