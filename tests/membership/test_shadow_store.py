"""The folder of what is done: never half a part, never another's, never two writers."""

import numpy as np
import pytest

from dpaudit.errors import AuditError, UsageError
from dpaudit.membership.shadow_store import ShadowStore

PRINT = {"data": "a", "seeds": "b"}


def rows(*models):
    return {"losses": np.array([[float(m), m + 0.5] for m in models])}


def test_parts_come_back_in_the_order_of_the_models(tmp_path):
    store = ShadowStore(tmp_path / "deep" / "store", 5, PRINT)
    assert store.missing().tolist() == [0, 1, 2, 3, 4]
    with store:
        store.put([3, 4], rows(3, 4))
        store.put([0, 2], rows(0, 2))
    assert store.missing().tolist() == [1]
    with pytest.raises(AuditError, match="1 of 5 shadow models"):
        store.read()
    again = ShadowStore(store.folder, 5, PRINT)
    with again:
        again.put([1], rows(1))
    np.testing.assert_array_equal(again.read()["losses"], rows(0, 1, 2, 3, 4)["losses"])
    assert not list(store.folder.glob("*.new"))


def test_two_cannot_write_at_once(tmp_path):
    store = ShadowStore(tmp_path, 2, PRINT)
    with store, pytest.raises(UsageError, match="writing"), ShadowStore(tmp_path, 2, PRINT):
        pass
    with store:  # and afterwards it is free again
        store.put([0], rows(0))


def test_a_damaged_part_is_put_aside_and_its_models_are_missing(tmp_path):
    store = ShadowStore(tmp_path, 2, PRINT)
    with store:
        store.put([0], rows(0))
        store.put([1], rows(1))
    path = tmp_path / "part-000001-000001.npz"
    path.write_bytes(path.read_bytes()[:100])
    assert store.missing().tolist() == [1]
    with pytest.warns(UserWarning, match="damaged"), store:
        store.put([1], rows(1))
    np.testing.assert_array_equal(store.read()["losses"], rows(0, 1)["losses"])
    assert path.with_name(f"{path.name}.damaged").exists()


def test_a_flipped_byte_is_found_when_it_is_read(tmp_path):
    store = ShadowStore(tmp_path, 1, PRINT)
    with store:
        store.put([0], {"losses": np.arange(1000.0)[None]})
    path = tmp_path / "part-000000-000000.npz"
    content = bytearray(path.read_bytes())
    at = content.find(np.arange(500.0, 510.0).tobytes())
    content[at] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(AuditError, match=r"damaged.*delete it"):
        store.read()


def test_other_folders_are_refused(tmp_path):
    ShadowStore(tmp_path / "one", 2, PRINT)
    with pytest.raises(UsageError, match="other seeds"):
        ShadowStore(tmp_path / "one", 2, {**PRINT, "seeds": "c"})
    with pytest.raises(UsageError, match=r"number of models \(2, not 3\)"):
        ShadowStore(tmp_path / "one", 3, PRINT)
    (tmp_path / "one" / "shadows.json").write_text("{")
    with pytest.raises(UsageError, match="cannot be read"):
        ShadowStore(tmp_path / "one", 2, PRINT)
    (tmp_path / "one" / "shadows.json").unlink()
    (tmp_path / "one" / "part-000000-000000.npz").write_bytes(b"")
    with pytest.raises(UsageError, match=r"parts without shadows\.json"):
        ShadowStore(tmp_path / "one", 2, PRINT)
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="folder of shadow models"):
        ShadowStore(tmp_path / "file", 2, PRINT)


def test_nothing_in_a_part_is_pickled(tmp_path):
    store = ShadowStore(tmp_path, 1, PRINT)
    with store, pytest.raises(ValueError, match="allow_pickle"):
        store.put([0], {"losses": np.array([object()])})
    assert [path.name for path in tmp_path.iterdir() if "part" in path.name] == []
