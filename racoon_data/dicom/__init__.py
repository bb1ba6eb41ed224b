"""DICOM files to headers, series and volumes; where to look:

- Any file, safely: ``guard`` (structure, limits) over ``walk``; ``claims`` (pixels claimed against bytes stored).
- A header as values: ``headers`` (pydicom behind the guard); ``facts`` over ``scanner`` and ``tags`` (one fast pass).
- A file in hand to be rewritten: ``opened`` over ``tree``; ``encoding``; ``charsets``.
- A folder to series: ``sorting``, with ``directory`` (DICOMDIR), ``images``, ``splitting``, ``duplicates``,
  ``diffusion``, ``references`` (annotation files); several slices in one file: ``multiframe``, ``mosaic``. The nouns
  are in ``series``.
- A series to a grid: ``stacking``; ``regularity`` answers questions about it.
- Pixels of one slice: ``pixels``, by way of ``frames`` (the open file), ``layout`` (how they lie), ``decoding`` (the
  chain) over ``decoders`` (its links); ``native`` reads plain ones without a copy. Frames of a segmentation:
  ``frame_pixels`` (which also finds compressed frames in a file), ``frame_codecs``.
- What a value means: ``meaning``, ``mappings``, ``groups`` (a frame's functional groups), ``quirks`` (vendor habits).
- Slices to one array: ``filling``.
- Codes: ``snomed``.
"""
