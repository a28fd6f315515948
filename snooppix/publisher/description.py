"""What is offered, as rows of caom2: an observation an exposure or stack, a plane and an artifact a file.

The generation is `Plane.provenance_version`: it is what tells one processing of
a name from the next, as EL_SYS does for frames, and followers read it there. The
release that names of stacks carry is `Plane.provenance_project`.
"""

import threading
from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any, Final

from dbclient.stores.publications import Listed
from snooppix.protocol.schema import ARTIFACT, OBSERVATION, PLANE
from snooppix.protocol.sealing import identity, sealed, stamp
from snooppix.protocol.tables import Row, Tables
from snooppix.publisher.names import MAPS, Published, Sort, read_name
from terapix.sections import ArchiveSection

SCHEME: Final = "terapix"
"""Of the URIs under which files are listed: terapix:CFHT/979412p_weight.fits.fz."""
FITS: Final = "application/fits"
TYPES: Final = {".fits.fz": FITS, ".cat": "application/octet-stream", ".reg": "text/plain"}
PRODUCER: Final = "terapix publisher"
_MJD_UNIX: Final = 40587
"""Modified Julian date of 1970-01-01."""


def uri_of(name: str, *, collection: str) -> str:
    """Give the URI under which a published file is listed."""
    return f"{SCHEME}:{collection}/{name}"


def content_type(name: str) -> str:
    """Give the MIME type of a published file."""
    return next((kind for ending, kind in TYPES.items() if name.endswith(ending)), "application/octet-stream")


def artifact_identity(name: str, digest: str | None, *, collection: str) -> str:
    """Give the identity of a content under its URI: another one when the file is replaced."""
    return identity(f"{uri_of(name, collection=collection)} {digest}")


class Offers(Tables):
    """The tables that followers query, and what they describe by name."""

    def __init__(self, archive: ArchiveSection) -> None:
        super().__init__()
        self._archive = archive
        self.listed: dict[str, Listed] = {}
        self._together: dict[str, dict[str, Listed]] = defaultdict(dict)
        """What is offered by observation and name."""
        self._described: dict[str, dict[str, list[Row]]] = {}
        """Rows of each observation, kept until one of its files changes: 50 000 take 9 s."""
        self._stale: set[str] = set()
        self._marking = threading.Lock()
        """Held while an observation is marked as changed, or the marks are taken: queries run in threads."""
        self._version = 0

    def show(self, listed: Sequence[Listed]) -> None:
        """Say what is offered from now on under these names; the others stay."""
        with self._marking:
            for item in listed:
                self.listed[item.publication.name] = item
                if (read := read_name(item.publication.name)) is not None:
                    self._together[read.observation][item.publication.name] = item
                    self._stale.add(read.observation)
            self._version += bool(listed)

    def _look_again(self) -> Hashable:
        return self._version

    def _batches(self, visible_at: str | None) -> Iterator[Mapping[str, Sequence[Row]]]:
        del visible_at  # followers see all, and nobody else sees anything
        with self._marking:
            stale = {name: list(self._together[name].values()) for name in self._stale}
            self._stale.clear()
        section = self._archive
        for name, parts in stale.items():
            self._described[name] = describe(parts, collection=section.collection, instrument=section.instrument)
        rows: dict[str, list[Row]] = {table.name: [] for table in (OBSERVATION, PLANE, ARTIFACT)}
        for described in list(self._described.values()):
            for table, some in described.items():
                rows[table] += some
        yield rows


def describe(listed: Sequence[Listed], *, collection: str, instrument: str) -> dict[str, list[Row]]:
    """Make the rows of the three tables from what is offered."""
    together: dict[str, list[tuple[Published, Listed]]] = defaultdict(list)
    for item in listed:
        if (read := read_name(item.publication.name)) is not None:
            together[read.observation].append((read, item))
    rows: dict[str, list[Row]] = {table.name: [] for table in (OBSERVATION, PLANE, ARTIFACT)}
    for name, parts in sorted(together.items()):
        observation = _observation(name, parts[0][1], collection=collection, instrument=instrument)
        sums, times = [], []
        for read, item in parts:
            offered = stamp(item.publication.offered_at or item.publication.registered_at)
            plane = _plane(observation, read, item, offered)
            artifact = _artifact(plane, item, collection=collection)
            rows[ARTIFACT.name].append(sealed(ARTIFACT, artifact, [offered], []))
            rows[PLANE.name].append(sealed(PLANE, plane, [offered], [artifact["metaChecksum"]]))
            sums.append(plane["accMetaChecksum"])
            times.append(offered)
        observation["metaRelease"] = min(times)
        rows[OBSERVATION.name].append(sealed(OBSERVATION, observation, times, sums))
    return rows


def _observation(name: str, item: Listed, *, collection: str, instrument: str) -> Row:
    uri = f"caom:{collection}/{name}"
    return {
        "observationURI": uri,
        "obsID": identity(f"{PRODUCER} {uri}"),
        "collection": collection,
        "observationID": name,
        "algorithm_name": "exposure" if name.isdigit() else "stack",
        "typeCode": "S" if name.isdigit() else "D",
        "type": "OBJECT",
        "intent": "science",
        "sequenceNumber": int(name) if name.isdigit() else None,
        "proposal_id": item.publication.runid,
        "target_name": item.object,
        "targetPosition_coordinates_cval1": item.ra,
        "targetPosition_coordinates_cval2": item.dec,
        "telescope_name": "CFHT 3.6m",
        "instrument_name": instrument,
        "metaProducer": PRODUCER,
    }


def _plane(observation: Row, read: Published, item: Listed, offered: str) -> Row:
    publication = item.publication
    uri = f"{observation['observationURI']}/{read.plane}"
    begin = _mjd(item)
    return {
        "publisherID": f"ivo://terapix/{observation['collection']}?{observation['observationID']}/{read.plane}",
        "obsID": observation["obsID"],
        "planeID": identity(f"{PRODUCER} {uri}"),
        "planeURI": uri,
        "productID": read.plane,
        "metaRelease": offered,
        "dataRelease": stamp(item.release) if item.release else offered,
        "dataProductType": "catalog" if read.sort in {Sort.CATALOGUE, Sort.REGIONS} else "image",
        "calibrationLevel": 2 if read.sort in MAPS else 3,
        "provenance_name": "TERAPIX",
        "provenance_version": str(publication.generation),
        "provenance_producer": "TERAPIX",
        "provenance_project": read.release or None,
        "provenance_lastExecuted": stamp(publication.registered_at),
        "provenance_keywords": read.sort.value,
        "energy_bandpassName": item.filter or read.filter or None,
        "energy_energyBands": "Optical",
        "time_bounds_lower": begin,
        "time_bounds_upper": begin + (item.exposure_time or 0.0) / 86400 if begin is not None else None,
        "time_exposure": item.exposure_time,
        "metaProducer": PRODUCER,
    }


def _artifact(plane: Row, item: Listed, *, collection: str) -> Row:
    publication = item.publication
    uri = uri_of(publication.name, collection=collection)
    return {
        "uri": uri,
        "planeID": plane["planeID"],
        "artifactID": artifact_identity(publication.name, publication.wire_digest, collection=collection),
        "productType": "science",
        "releaseType": "data",
        "contentType": content_type(publication.name),
        "contentLength": publication.size,
        "contentChecksum": publication.wire_digest,
        "metaProducer": PRODUCER,
    }


def _mjd(item: Listed) -> float | None:
    moment: Any = item.observed_at
    return moment.timestamp() / 86400 + _MJD_UNIX if moment is not None else None
