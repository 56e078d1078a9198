"""Several copies of one canary."""

from dataclasses import replace

from canaries._rows import canary_of, read_neighbors, whole, with_copies
from dpaudit.adjacency import Adjacency
from dpaudit.errors import UsageError
from dpaudit.neighbors import Neighbors


def duplicate_group(neighbors: Neighbors, *, copies: int) -> Neighbors:
    """The same neighbours with `copies` of the canary in D1, a group of that size.

    A claim for one record is a weaker one for a group (group privacy: `Claim.for_group`), and the audit tests that
    one, because ``Neighbors.canaries`` says how many there are. Where the implementation counts records right, nothing
    is won by it in theory; in practice a group shows a fault that one record hides, and data that holds duplicates
    nobody knows of is such a group.

    Args:
        neighbors: of a recipe, under add-or-remove-one, with one canary.
        copies: size of the group, >= 1.

    Raises:
        UsageError: another adjacency, no record as the canary, several canaries already, or no such number.
    """
    number = whole("copies of the canary", copies, least=1)
    read_neighbors(neighbors)
    if neighbors.adjacency is not Adjacency.ADD_OR_REMOVE_ONE or neighbors.canaries != 1:
        raise UsageError(
            "a group grows out of one added record",
            allowed=f"{Adjacency.ADD_OR_REMOVE_ONE} with one canary",
            got=f"{neighbors.adjacency} with {neighbors.canaries}",
        )
    return replace(
        neighbors,
        included=with_copies(
            neighbors.included, canary_of(neighbors), number - 1, neighbors.context.get("label_column")
        ),
        name="duplicate_group",
        params={"copies": number, "of": neighbors.describe()},
        canaries=number,
    )
