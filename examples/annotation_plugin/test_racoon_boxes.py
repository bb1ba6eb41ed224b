"""The plug-in keeps racoon's contract: ``pytest`` in this folder shows it."""

import json

import numpy as np
from racoon_boxes import BoxesReader

from racoon_data.testing.contracts import Exported, ToolReaderContract


class TestBoxes(ToolReaderContract):
    """What racoon asks of every reader of another tool's files."""

    def reader(self):
        """The reader."""
        return BoxesReader()

    def export(self, folder, series):
        """A box on the series' own grid."""
        folder.mkdir(parents=True, exist_ok=True)
        document = {
            "patient": series.plan.patient_id,
            "series_uid": series.ref.series_uid,
            "shape": series.geometry.shape,
            "affine_lps": series.geometry.affine_lps,
            "boxes": [{"name": "Lesion", "from": [2, 3, 1], "to": [9, 8, 4]}],
        }
        path = folder / "x.boxes.json"
        path.write_text(json.dumps(document), encoding="utf-8")
        mask = np.zeros(series.geometry.array_shape, dtype=bool)
        mask[1:4, 3:8, 2:9] = True
        return Exported(path, {"Lesion": mask})
