"""The one door: de-identification by the standard's table, keyed pseudonyms, vault."""
