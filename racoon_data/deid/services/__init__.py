"""Who names patients instead of the site's key: gPAS, a Mainzelliste, or a list of the study's own."""
