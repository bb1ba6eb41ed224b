"""Query and retrieve: find, retrieve, push, and an embedded PACS."""
