"""Two invented vendor reports of different shape, nested XML and flat CSV, through one mapper and two mapping files."""

import csv
import sys
from pathlib import Path

from racoon_data.annotations.folder import find_annotations, read_found
from racoon_data.annotations.tools.mapping import load_mapping

REPORTS = Path(__file__).resolve().parent / "vendor_reports"


def main(out: Path) -> None:
    """Read both reports into one table each; no line of code knows either format."""
    for name, file in (("nested", "nested.xml"), ("flat", "flat.csv")):
        found = find_annotations(REPORTS / file, mapping=load_mapping(REPORTS / f"{name}.toml"))
        read_found(found, out / name)
        with (out / name / "findings.csv").open(encoding="utf-8") as table:
            for row in csv.DictReader(table):
                print(f"{file}: lesion {row['tracking_id']}: {row['concept']} {row['value']} {row['unit']}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "example"))
