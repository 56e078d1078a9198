"""Which pairs of data sets a claim calls neighbours."""

from enum import StrEnum


class Adjacency(StrEnum):
    """The neighbouring relation of a claim, of neighbours and of a bound. They must agree; nothing converts.

    * ``ADD_OR_REMOVE_ONE``: D1 has one record more than D0 (dp_accounting's ADD_OR_REMOVE_ONE).
    * ``REPLACE_ONE``: same size, one record differs; for DP-SGD twice the sensitivity, a profile of its own.
    * ``ZERO_OUT``: same size, one record of D1 contributes nothing in D0 (dp_accounting's REPLACE_SPECIAL).
    """

    ADD_OR_REMOVE_ONE = "add-or-remove-one"
    REPLACE_ONE = "replace-one"
    ZERO_OUT = "zero-out"
