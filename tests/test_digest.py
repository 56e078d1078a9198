"""Equal content, equal digest, whatever holds it."""

import collections
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from dpaudit.digest import all_finite, arrays_in, digest_of


@dataclass
class Node:
    value: float
    next: Any = None


class Plain:
    def __init__(self, **names):
        vars(self).update(names)


def a_list(x):
    made = [x]
    made.append(made)
    return made


def a_dict(x):
    made = {"x": x}
    made["self"] = {"again": made}
    return made


def a_ring(x):
    first = Node(x)
    first.next = Node(2.0, first)
    return first


def an_object(x):
    made = Plain(x=x)
    made.parent = Plain(child=made)
    return made


def an_object_array(x):
    made = np.array([x, None], dtype=object)
    made[1] = made
    return made


@pytest.mark.parametrize("cyclic", [a_list, a_dict, a_ring, an_object, an_object_array])
def test_a_cycle_ends_and_what_is_on_it_counts(cyclic):
    assert digest_of(cyclic(1.0)) == digest_of(cyclic(1.0)) != digest_of(cyclic(3.0))
    assert 1.0 in [float(a) for a in arrays_in(cyclic(1.0)) if a.size == 1]
    assert all_finite(cyclic(1.0))
    assert not all_finite(cyclic(np.nan))


def test_where_a_cycle_leads_counts():
    def made(target):
        outer = {"inner": {}}
        outer["inner"]["back"] = outer if target == "outer" else outer["inner"]
        return outer

    assert digest_of(made("outer")) != digest_of(made("inner"))


def test_the_same_object_twice_is_no_cycle():
    x = np.arange(3.0)
    shared = [x, x, {"x": x}]
    assert digest_of([shared, shared]) == digest_of(
        [[x.copy(), x.copy(), {"x": x.copy()}], [x.copy(), x.copy(), {"x": x.copy()}]]
    )


def test_sets_have_content_and_no_order():
    assert digest_of({"a", "b"}) == digest_of({"b", "a"}) == digest_of(frozenset("ab")) != digest_of({"a", "c"})
    program = "from dpaudit.digest import digest_of; print(digest_of(set('abcdefgh')))"
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == digest_of(set("abcdefgh"))


def test_a_table_counts_its_names_and_values():
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame({"age": [1.0, 2.0], "sex": ["f", "m"]})
    assert digest_of(table) == digest_of(table.copy())
    assert digest_of(table) != digest_of(table.rename(columns={"age": "years"}))
    assert digest_of(table) != digest_of(table.replace(2.0, 3.0))
    assert digest_of(table["age"]) != digest_of(table["age"] + 1)


def test_different_content_has_a_different_digest():
    things = [
        0,
        0.0,
        False,
        None,
        "",
        b"",
        [],
        (1,),
        {},
        {"a": 1},
        np.zeros(1),
        np.zeros(1, np.float32),
        np.zeros((1, 1)),
    ]
    things += [Node(1.0), Node(2.0), collections.OrderedDict(b=1), 2**80, {1}, set()]
    assert len({digest_of(thing) for thing in things}) == len(things)
