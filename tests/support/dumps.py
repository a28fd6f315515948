"""Header dumps as the archive gives them, plain text with one card a line."""

import gzip
import re


def headers_of(path):
    """Read a gzipped dump: a dictionary of texts for each HDU, the first value of a keyword that occurs twice."""
    found = []
    with gzip.open(path, "rt", errors="replace") as stream:
        for line in stream:
            if line.startswith(("SIMPLE  =", "XTENSION=")):
                found.append({})
            if line[8:10] == "= ":
                value = re.match(r"\s*('(?:[^']|'')*'|[^/]*)", line[10:])[1]
                found[-1].setdefault(line[:8].strip(), value.strip().strip("'").strip())
    return found
