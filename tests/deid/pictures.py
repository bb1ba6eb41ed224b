"""Pictures of every kind that waits, and presentation states, with the patient planted in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, GrayscaleSoftcopyPresentationStateStorage, UltrasoundImageStorage

from racoon_data.testing.makers import a_series

CODE = {"CodeValue": "T-D3000", "CodingSchemeDesignator": "SRT", "CodeMeaning": "Chest"}


def item(**values: Any) -> Dataset:
    """Make one item of a sequence."""
    made = Dataset()
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def a_picture(
    folder: Path, pixels: npt.NDArray[Any], *, photometric: str = "MONOCHROME2", stored: int = 0, **changes: Any
) -> Path:
    """Write a picture of any kind.

    Args:
        folder: Where to.
        pixels: ``[frame, j, i]`` or ``[frame, j, i, sample]``.
        photometric: PhotometricInterpretation.
        stored: BitsStored; 0 for all.
        **changes: Attributes to set.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (path,) = a_series(folder, slices=1, rows=4, columns=4).paths
    dataset = pydicom.dcmread(path)
    for keyword in ("RescaleSlope", "RescaleIntercept", "ConvolutionKernel", "KVP", "SpacingBetweenSlices"):
        if keyword in dataset:
            del dataset[keyword]
    bits = pixels.dtype.itemsize * 8
    values: dict[str, Any] = {
        "SOPClassUID": UltrasoundImageStorage,
        "Modality": "US",
        "ImageType": ["ORIGINAL", "PRIMARY"],
        "Rows": pixels.shape[1],
        "Columns": pixels.shape[2],
        "SamplesPerPixel": pixels.shape[3] if pixels.ndim == 4 else 1,
        "PhotometricInterpretation": photometric,
        "BitsAllocated": bits,
        "BitsStored": stored or bits,
        "HighBit": (stored or bits) - 1,
        "PixelRepresentation": int(pixels.dtype.kind == "i"),
        **({"PlanarConfiguration": 0} if pixels.ndim == 4 else {}),
        **({"NumberOfFrames": len(pixels)} if len(pixels) > 1 else {}),
        **changes,
    }
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    dataset.PixelData = pixels.tobytes() + b"\0" * (pixels.nbytes % 2)
    dataset["PixelData"].VR = "OB" if bits == 8 else "OW"
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.save_as(path, enforce_file_format=True)
    return path


def a_gsps(folder: Path, image: Path) -> Path:
    """Write a greyscale presentation state on one image, with names in its texts, labels and layers."""
    source = pydicom.dcmread(image, stop_before_pixels=True)
    state = Dataset()
    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyInstanceUID", "StudyDate",
                    "StudyTime", "ReferringPhysicianName", "StudyID", "AccessionNumber"):  # fmt: skip
        setattr(state, keyword, source.get(keyword, ""))
    reference = item(ReferencedSOPClassUID=source.SOPClassUID, ReferencedSOPInstanceUID=source.SOPInstanceUID)
    text = item(
        UnformattedTextValue="Nodule links, Frau Muster, Dr. Quastenberg",
        BoundingBoxAnnotationUnits="PIXEL",
        BoundingBoxTopLeftHandCorner=[1, 1],
        BoundingBoxBottomRightHandCorner=[3, 2],
        BoundingBoxTextHorizontalJustification="LEFT",
    )
    line = item(
        GraphicAnnotationUnits="PIXEL", GraphicDimensions=2, NumberOfGraphicPoints=2, GraphicData=[1.0, 1.0, 3.0, 3.0],
        GraphicType="POLYLINE", GraphicFilled="N",
    )  # fmt: skip
    area = item(
        ReferencedImageSequence=[reference],
        DisplayedAreaTopLeftHandCorner=[1, 1],
        DisplayedAreaBottomRightHandCorner=[source.Columns, source.Rows],
        PresentationSizeMode="SCALE TO FIT",
        PresentationPixelAspectRatio=[1, 1],
    )
    values: dict[str, Any] = {
        "SOPClassUID": GrayscaleSoftcopyPresentationStateStorage,
        "SOPInstanceUID": "1.2.276.0.99.4.1",
        "SeriesInstanceUID": "1.2.276.0.99.4.0",
        "SpecificCharacterSet": "ISO_IR 100",
        "Modality": "PR",
        "SeriesNumber": 900,
        "InstanceNumber": 1,
        "Manufacturer": "ACME",
        "ContentLabel": "MUSTER",
        "ContentDescription": "Befund Muster, Herd links",
        "ContentCreatorName": "Leser^Lena",
        "PresentationCreationDate": "20200317",
        "PresentationCreationTime": "101500",
        "ReferencedSeriesSequence": [
            item(SeriesInstanceUID=source.SeriesInstanceUID, ReferencedImageSequence=[reference])
        ],
        "GraphicAnnotationSequence": [
            item(
                ReferencedImageSequence=[reference],
                GraphicLayer="MUSTER",
                TextObjectSequence=[text],
                GraphicObjectSequence=[line],
            )
        ],
        "GraphicLayerSequence": [
            item(GraphicLayer="MUSTER", GraphicLayerOrder=1, GraphicLayerDescription="von Dr. Quastenberg")
        ],
        "DisplayedAreaSelectionSequence": [area],
        "SoftcopyVOILUTSequence": [item(WindowCenter=40, WindowWidth=400)],
        "PresentationLUTShape": "IDENTITY",
    }
    for keyword, value in values.items():
        setattr(state, keyword, value)
    state.file_meta = pydicom.dataset.FileMetaDataset()
    state.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    state.file_meta.MediaStorageSOPClassUID = state.SOPClassUID
    state.file_meta.MediaStorageSOPInstanceUID = state.SOPInstanceUID
    path = folder / "gsps.dcm"
    state.save_as(path, enforce_file_format=True)
    return path


def gradient(*shape: int, dtype: type = np.uint8) -> npt.NDArray[Any]:
    """Give pixels that are nowhere black or white."""
    values: npt.NDArray[Any] = (np.arange(int(np.prod(shape))) % 90 + 20).reshape(shape).astype(dtype)
    return values
