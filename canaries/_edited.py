"""A torch Dataset with one record more, or one record exchanged. Imported only where a torch Dataset came in."""

from typing import Any

from torch.utils.data import Dataset


class Edited(Dataset[Any]):
    """`base` with `record` at `position`: past the end it is appended, inside it takes that record's place."""

    def __init__(self, base: Any, record: tuple[Any, Any], position: int) -> None:
        self.base = base
        self.record = record
        self.position = position

    def __len__(self) -> int:
        return max(len(self.base), self.position + 1)

    def __getitem__(self, index: int) -> Any:
        if not -len(self) <= index < len(self):
            raise IndexError(f"record {index} of {len(self)}")
        at = index % len(self)
        return self.record if at == self.position else self.base[at]
