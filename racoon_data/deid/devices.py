"""Rules for devices that write into their pictures: where the text stands, so that it can be masked."""

from __future__ import annotations

from typing import Annotated, NamedTuple, Self

from pydantic import Field, model_validator

from racoon_data.dicom.opened import OpenedFile
from racoon_data.settings import Frozen

_MATCHED = {
    "manufacturer": "Manufacturer",
    "model": "ManufacturerModelName",
    "modality": "Modality",
    "sop_class": "SOPClassUID",
}


class Rectangle(NamedTuple):
    """Pixels of a frame: ``left`` and ``top`` count from 0."""

    left: Annotated[int, Field(ge=0)]
    top: Annotated[int, Field(ge=0)]
    width: Annotated[int, Field(gt=0)]
    height: Annotated[int, Field(gt=0)]


class DeviceRule(Frozen):
    """Where one device writes text into pictures of one size.

    Attributes:
        name: Shown by ``racoon deid explain``.
        manufacturer: Manufacturer must be this; letter case does not matter; empty matches any.
        model: ManufacturerModelName must be this.
        modality: Modality must be this.
        sop_class: SOPClassUID must be this.
        rows: Rows must be this many: text stands elsewhere in pictures of another size.
        columns: Columns must be this many.
        rectangles: ``[left, top, width, height]`` in pixels; they become black in every frame.
        writes_no_text: The device leaves its pictures clean: what its kind alone makes wait passes unchanged.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,40}$")]
    manufacturer: str = ""
    model: str = ""
    modality: str = ""
    sop_class: str = ""
    rows: Annotated[int, Field(gt=0)]
    columns: Annotated[int, Field(gt=0)]
    rectangles: tuple[Rectangle, ...] = ()
    writes_no_text: bool = False

    @model_validator(mode="after")
    def _is_sound(self) -> Self:
        if not any(getattr(self, name) for name in _MATCHED):
            raise ValueError(f"device rule {self.name} names no manufacturer, model, modality or sop_class")
        if bool(self.rectangles) == self.writes_no_text:
            raise ValueError(f"device rule {self.name} needs rectangles, or writes_no_text, and not both")
        for one in self.rectangles:
            if one.left + one.width > self.columns or one.top + one.height > self.rows:
                raise ValueError(f"device rule {self.name} has a rectangle beyond its rows and columns")
        return self

    def matches(self, opened: OpenedFile) -> bool:
        """Tell whether a picture comes from this device in this size."""
        wanted = ((getattr(self, name), keyword) for name, keyword in _MATCHED.items())
        return (
            all(not value or opened.text(keyword).casefold() == value.casefold() for value, keyword in wanted)
            and opened.unsigned("Rows") == self.rows
            and opened.unsigned("Columns") == self.columns
        )


def rule_for(opened: OpenedFile, rules: tuple[DeviceRule, ...]) -> DeviceRule | None:
    """Give the first rule that matches a picture, ``None`` where none does."""
    return next((rule for rule in rules if rule.matches(opened)), None)
