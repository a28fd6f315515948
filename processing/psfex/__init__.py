"""PSFEx: models of the point spread function that vary over the field (Bertin 2011, ASP Conf. 442, 435)."""
