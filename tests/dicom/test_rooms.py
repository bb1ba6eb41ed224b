"""The guide to the modules of ``racoon_data.dicom`` leaves none out."""

import re
from pathlib import Path

import racoon_data.dicom as dicom


def test_the_guide_names_every_module_and_no_other():
    """A newcomer finds each module where the package says what it is for."""
    modules = {path.stem for path in Path(str(dicom.__file__)).parent.glob("*.py")} - {"__init__"}

    assert set(re.findall(r"``(\w+)``", dicom.__doc__ or "")) == modules
