"""MNIST and Fashion-MNIST: two data sets of one shape, told apart by the digests of their contents."""

import os
from dataclasses import dataclass

import numpy as np

from dpaudit.datasets._files import data_folder, read_file, require_digest
from dpaudit.datasets._idx import parse_idx
from dpaudit.datasets._pair import Pair


@dataclass(frozen=True)
class Part:
    """The training or the test half: file prefix, number of images, sha256 of the decompressed files."""

    prefix: str
    count: int
    images_sha256: str
    labels_sha256: str


@dataclass(frozen=True)
class ImageSet:
    """A data set of 28 x 28 grey images in four IDX files."""

    folder: str
    title: str
    train: Part
    test: Part

    def load(self, folder: str | os.PathLike[str] | None, *, train: bool) -> Pair:
        """Images in [0, 1] and labels of one half."""
        part = self.train if train else self.test
        names = f"{part.prefix}-images-idx3-ubyte", f"{part.prefix}-labels-idx1-ubyte"
        archives = f"{names[0]}.gz and {names[1]}.gz from the {self.title} distribution"
        where = data_folder(folder, self.folder, archives)
        shapes = (part.count, 28, 28), (part.count,)
        digests = part.images_sha256, part.labels_sha256
        arrays = []
        for name, shape, digest in zip(names, shapes, digests, strict=True):
            path, content = read_file(where, name, archives)
            arrays.append(parse_idx(content, path, shape=shape, archives=archives))
            require_digest(path, content, digest, archives)
        images, labels = arrays
        return images.astype(np.float32) / np.float32(255), labels.astype(np.int64)


# The digests are of the decompressed files: gzip containers of the same content differ between mirrors.
MNIST = ImageSet(
    "mnist",
    "MNIST",
    Part(
        "train",
        60000,
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    ),
    Part(
        "t10k",
        10000,
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
)
FASHION_MNIST = ImageSet(
    "fashion_mnist",
    "Fashion-MNIST",
    Part(
        "train",
        60000,
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    ),
    Part(
        "t10k",
        10000,
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
)


def mnist(folder: str | os.PathLike[str] | None = None, *, train: bool = True) -> Pair:
    """MNIST handwritten digits (LeCun, Cortes, Burges).

    Args:
        folder: where the idx files are (gzipped or not), or its parent; default ``$DPAUDIT_DATA``.
        train: the 60000 training images, or the 10000 test images.

    Returns:
        x, float32 (n, 28, 28) in [0, 1], and y, int64 (n,) in 0..9.

    Raises:
        UsageError: no folder, a missing or damaged file, or not the published content.
    """
    return MNIST.load(folder, train=train)


def fashion_mnist(folder: str | os.PathLike[str] | None = None, *, train: bool = True) -> Pair:
    """Fashion-MNIST, ten kinds of clothing (Xiao, Rasul, Vollgraf 2017).

    Args:
        folder: where the idx files are (gzipped or not), or its parent; default ``$DPAUDIT_DATA``.
        train: the 60000 training images, or the 10000 test images.

    Returns:
        x, float32 (n, 28, 28) in [0, 1], and y, int64 (n,) in 0..9.

    Raises:
        UsageError: no folder, a missing or damaged file, or not the published content (MNIST under its name).
    """
    return FASHION_MNIST.load(folder, train=train)
