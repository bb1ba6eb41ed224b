"""Query, retrieve from, push to, receive from and serve picture archives (DICOM and DICOMweb).

Where to look:

- Nodes: ``peer`` (values), ``node`` (echo), ``sources`` (any kind in one way), ``folder``, ``tls``, ``kindness``.
- Asking: ``find``, ``complete`` (whole answers), ``spans`` and ``numbering`` (ways to split), ``filters``,
  ``matching``, ``lists``, ``planning``, and the package ``doctor`` with what it keeps in ``profile``.
- Retrieving: ``retrieve``, ``expecting`` (what is due), ``methods`` (which way), ``getting``, ``moving``, the package
  ``web``; each ends in ``receiving`` and ``landing``.
- The wire under them: ``link``, ``channel``, ``commands``, ``negotiating``, ``contexts``, ``heads``, ``part10``.
- Sending and being sent to: ``push``, ``sending``, ``commitment``; ``receive``, ``storage_scp``, ``accepting``.
- The embedded PACS: ``serve`` and what begins with ``serve_``, over ``index`` and ``catalog``.
"""
