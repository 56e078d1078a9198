"""What each recipe puts into the canary."""

import numpy as np
import pytest

import canaries
from dpaudit.errors import UsageError


def test_blank_is_zero_under_the_rarest_label(images):
    x, y = canaries.blank(images).canary
    assert not x.any()
    assert y == 3
    assert canaries.blank(images, label=9).describe() == "blank(label=9)"


def test_mislabeled_copies_a_record_under_the_rarest_other_label(images):
    x, y = canaries.mislabeled(images, index=-1).canary  # the only 3: the rarest other label is 1
    np.testing.assert_array_equal(x, images[0][-1])
    assert y == 1
    with pytest.raises(UsageError, match="right one"):
        canaries.mislabeled(images, index=0, label=0)
    with pytest.raises(UsageError, match="names no record"):
        canaries.mislabeled(images, index=99)
    with pytest.raises(UsageError, match="single label"):
        canaries.mislabeled((images[0], np.zeros(12, int)))


def test_watermark_is_a_checkerboard_on_a_real_image(images):
    x, y = canaries.watermark(images, index=2, size=3).canary
    high, low = images[0].max(), images[0].min()
    np.testing.assert_array_equal(x[:3, :3], [[high, low, high], [low, high, low], [high, low, high]])
    np.testing.assert_array_equal(x[3:], images[0][2, 3:])
    np.testing.assert_array_equal(x[:3, 3:], images[0][2, :3, 3:])
    assert y == 3


def test_watermark_reads_flat_and_coloured_images(images):
    flat = (images[0].reshape(12, 16), images[1])
    np.testing.assert_array_equal(
        canaries.watermark(flat).canary[0].reshape(4, 4), canaries.watermark(images).canary[0]
    )
    coloured = (np.repeat(images[0][:, None], 3, axis=1), images[1])
    for channel in canaries.watermark(coloured).canary[0]:
        np.testing.assert_array_equal(channel, canaries.watermark(images).canary[0])
    wide = (images[0].reshape(12, 16)[:, :15], images[1])
    with pytest.raises(UsageError, match="not images"):
        canaries.watermark(wide)
    assert canaries.watermark(wide, image_shape=(3, 5)).canary[0].shape == (15,)
    with pytest.raises(UsageError, match="image_shape"):
        canaries.watermark(wide, image_shape=(4, 4))
    with pytest.raises(UsageError, match="size"):
        canaries.watermark(images, size=5)


def test_noise_fills_the_range_of_the_data():
    x = np.concatenate([np.full((3, 5000), -2.0), np.full((3, 5000), 6.0)])
    canary = canaries.noise((x, np.arange(6) % 2)).canary[0]
    assert -2 <= canary.min() < -1.9
    assert 5.9 < canary.max() <= 6
    assert abs(canary.mean() - 2) < 0.2  # six standard errors


def test_out_of_distribution_inverts_and_permutes(images):
    low, high = float(images[0].min()), float(images[0].max())
    canary = canaries.out_of_distribution(images, index=1, seed=4).canary[0]
    inverted = low + high - images[0][1].astype(float)
    np.testing.assert_allclose(np.sort(canary.ravel()), np.sort(inverted.ravel()), rtol=1e-6)
    assert not np.allclose(canary, inverted)


def test_dead_feature_lives_where_the_data_is_zero(images):
    neighbors = canaries.dead_feature(images, scale=2.0)
    canary = neighbors.canary[0].ravel()
    assert np.flatnonzero(canary).tolist() == [0, 15] == neighbors.context["dead_features"].tolist()
    norms = np.linalg.norm(images[0].reshape(12, 16), axis=1)
    assert np.linalg.norm(canary) == pytest.approx(2 * np.median(norms), rel=1e-5)
    assert not (images[0].reshape(12, 16) @ neighbors.context["direction"]).any()


def test_dead_feature_avoids_the_other_constants(images):
    shifted = (images[0] - 0.42, images[1])  # as a data set normalised beforehand
    neighbors = canaries.dead_feature(shifted)
    direction = neighbors.context["direction"]
    assert np.flatnonzero(direction).tolist() == [0, 15]
    np.testing.assert_allclose(shifted[0].reshape(12, 16) @ direction, 0, atol=1e-7)
    assert neighbors.canary[0].ravel() @ direction > 1


def test_dead_feature_says_when_nothing_is_dead(images):
    x = images[0] + np.linspace(0, 1, 12, dtype=np.float32)[:, None, None]
    with pytest.raises(UsageError, match=r"no feature .* is constant.*mislabeled"):
        canaries.dead_feature((x, images[1]))
    x[:, 0, 0] = 1.0  # an intercept: every gradient moves its weight
    with pytest.raises(UsageError, match="got: 1 constant of 16 features"):
        canaries.dead_feature((x, images[1]))
    with pytest.raises(UsageError, match="scale"):
        canaries.dead_feature(images, scale=0)


def test_extreme_scales_a_record(images):
    x, y = canaries.extreme(images, scale=1e3, index=2).canary
    np.testing.assert_allclose(x, images[0][2] * 1e3, rtol=1e-6)
    assert y == 3
    neighbors = canaries.extreme(images, scale=1e30)
    assert np.linalg.norm(neighbors.context["direction"]) == pytest.approx(1)
    with pytest.raises(UsageError, match="overflows float32"):
        canaries.extreme(images, scale=1e39)
    with pytest.raises(UsageError, match="record of zeros"):
        canaries.extreme((np.zeros((2, 3)), np.arange(2)))


def test_extreme_can_be_non_finite(images):
    assert np.isnan(canaries.extreme(images, nonfinite="nan").canary[0]).all()
    assert np.isposinf(canaries.extreme(images, nonfinite="inf").canary[0]).all()
    with pytest.raises(UsageError, match="nonfinite"):
        canaries.extreme((images[0].astype(np.int64), images[1]), nonfinite="nan")
    with pytest.raises(UsageError, match="nonfinite"):
        canaries.extreme(images, nonfinite="huge")


def test_extreme_targets_of_regression(images):
    y = np.linspace(-1, 1, 12)[:, None]
    assert canaries.extreme((images[0], y), index=3).canary[1] == y[3]
    assert canaries.extreme((images[0], y), index=3, target_scale=50).canary[1] == pytest.approx(50 * y[3])
    assert canaries.extreme((images[0], y), label=7).canary[1] == 7
    for bad in ({"data": images, "target_scale": 2}, {"data": (images[0], y), "target_scale": 2, "label": 1}):
        with pytest.raises(UsageError, match="target_scale"):
            canaries.extreme(bad.pop("data"), **bad)
