"""PSFEx: models of the point spread function from stars of a catalogue (Bertin 2011, ASPC 442, 435)."""
