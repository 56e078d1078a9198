"""Every way a file can be wrong ends in one line that names the file and what to fetch."""

import gzip
import io
import struct
import tarfile

import numpy as np
import pytest

from dpaudit import datasets
from dpaudit.datasets._adult import parse_adult
from dpaudit.datasets._files import read_file, require_digest
from dpaudit.datasets._idx import parse_idx
from dpaudit.datasets._location import FEATURES, parse_location
from dpaudit.errors import UsageError

LABELS = "t10k-labels-idx1-ubyte"
IMAGES = "t10k-images-idx3-ubyte"


def idx(array):
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def refused(call, *patterns):
    with pytest.raises(UsageError) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    for pattern in patterns:
        assert pattern in message, message


def test_idx_round_trip(tmp_path):
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    assert np.array_equal(parse_idx(idx(array), tmp_path, shape=(2, 3, 4), archives="x"), array)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"\x00\x00\x0d\x01" + bytes(8), "magic bytes 00000d01, not 00000801"),
        (b"<html>", "magic bytes 3c68746d"),
        (b"", "magic bytes"),
        (b"\x00\x00\x08\x01\x00", "header ends early"),
        (idx(np.zeros(4, np.uint8)), "shape (4,), not (5,)"),
        (idx(np.zeros(5, np.uint8))[:-1], "4 bytes of data, not 5"),
        (idx(np.zeros(5, np.uint8)) + b"x", "6 bytes of data, not 5"),
    ],
)
def test_idx_damage_is_named(tmp_path, content, found):
    path = tmp_path / LABELS
    refused(
        lambda: parse_idx(content, path, shape=(5,), archives="the MNIST files"),
        str(path),
        found,
        "the MNIST files",
    )


@pytest.mark.parametrize("load", [datasets.mnist, datasets.fashion_mnist, datasets.location, datasets.adult])
def test_no_folder_and_no_such_folder(monkeypatch, tmp_path, load):
    monkeypatch.delenv("DPAUDIT_DATA", raising=False)
    refused(load, "DPAUDIT_DATA", "folder=", "digits()")
    refused(lambda: load(tmp_path / "nowhere"), "nowhere")
    monkeypatch.setenv("DPAUDIT_DATA", str(tmp_path / "gone"))
    refused(load, "DPAUDIT_DATA is not a folder", "gone")
    refused(lambda: load(tmp_path), "is missing")


def test_missing_file_says_what_to_fetch(tmp_path):
    refused(lambda: datasets.mnist(tmp_path), "train-images-idx3-ubyte.gz is missing", "MNIST distribution")


@pytest.mark.parametrize("cut", [slice(0, 20), slice(0, -9), slice(3, None)])
def test_a_truncated_or_foreign_gzip_is_damage(tmp_path, cut):
    (tmp_path / f"{LABELS}.gz").write_bytes(gzip.compress(bytes(1000))[cut])
    refused(lambda: read_file(tmp_path, LABELS, "the MNIST files"), f"{LABELS}.gz is damaged", "fetch it again")


def test_a_flipped_byte_is_not_the_published_file(tmp_path):
    content = np.zeros((10000, 28, 28), np.uint8)
    content[5, 5, 5] = 1
    (tmp_path / IMAGES).write_bytes(idx(content))  # well formed, right shape, uncompressed
    refused(lambda: datasets.mnist(tmp_path, train=False), IMAGES, "is not the published file", "sha256 0fa7898d")


def test_the_digest_of_the_published_content_passes(tmp_path):
    require_digest(tmp_path, b"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "x")


def archive(path, name, content):
    with tarfile.open(path, "w:gz") as tar:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))


def test_location_archive_damage(tmp_path):
    path = tmp_path / "dataset_location.tgz"
    refused(lambda: datasets.location(tmp_path), "dataset_location.tgz is missing")
    path.write_bytes(b"not an archive")
    refused(lambda: datasets.location(tmp_path), "is damaged", "dataset_location.tgz")
    archive(path, "elsewhere", b"1,0")
    refused(lambda: datasets.location(tmp_path), "no member 'bangkok'")
    archive(path, "bangkok", b'"1",0,1\n')
    refused(lambda: datasets.location(tmp_path), "shape (1, 3)")
    rows = b"\n".join([b'"30",' + b",".join([b"1"] * FEATURES)] * 500)
    archive(path, "bangkok", rows)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    refused(lambda: datasets.location(tmp_path), "is damaged")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["dataset_location.tgz"]  # nothing is extracted


@pytest.mark.parametrize(("first", "feature"), [("31", "1"), ("0", "1"), ("5", "2"), ("x", "1")])
def test_location_values_out_of_range(tmp_path, first, feature):
    row = f'"{first}",' + ",".join([feature] * FEATURES)
    refused(lambda: parse_location(row.encode(), tmp_path / "f", rows=1), "is damaged")


def test_location_row(tmp_path):
    row = '"30",' + ",".join(["1"] + ["0"] * (FEATURES - 1))
    x, y = parse_location(row.encode(), tmp_path, rows=1)
    assert (int(y[0]), float(x.sum()), float(x[0, 0])) == (29, 1.0, 1.0)


ROW = "50, Private, 83311, Bachelors, 8, Divorced, ?, Husband, White, Male, 99999, 2500, 40, Peru, {label}\n"


def test_adult_row_by_hand(tmp_path):
    comment = "|1x3 Cross validator\n"
    x, y = parse_adult((comment + ROW.format(label=">50K.") + "\n").encode(), tmp_path, rows=1)
    row = {name: float(v) for name, v in zip(datasets.ADULT_COLUMNS, x[0], strict=True) if v}
    assert row == pytest.approx(
        {
            "age": 0.5,
            "education-num": 0.5,
            "capital-gain": 1.0,
            "capital-loss": 0.5,
            "hours-per-week": 0.4,
            "workclass=Private": 1,
            "marital-status=Divorced": 1,
            "relationship=Husband": 1,
            "race=White": 1,
            "sex=Male": 1,
            "native-country=Peru": 1,
        }  # occupation is missing: no column of it is set
    )
    assert y.tolist() == [1]


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("", "0 rows, not 1"),
        (ROW.format(label="maybe"), "maybe"),
        (ROW.format(label="<=50K").replace("Divorced", "Complicated"), "Complicated"),
        (ROW.format(label="<=50K").replace("50,", "old,", 1), "old"),
        ("1, 2, 3\n", "3 fields, not 15"),
        ("x" * 200_000, "field larger"),
    ],
)
def test_adult_damage_is_named(tmp_path, content, found):
    refused(lambda: parse_adult(content.encode(), tmp_path / "adult.data", rows=1), "adult.data is damaged", found)
