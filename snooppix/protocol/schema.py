"""The tables of the stand-in's catalogue, declared once.

Names, types and meanings are those of the archive's ``caom2`` schema. The same
declarations make the SQLite tables, the VOTable fields, ``/tables`` and
TAP_SCHEMA, so that these four can not differ.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass

TYPES = {
    "char": ("TEXT", "char", "*", None),
    "timestamp": ("TEXT", "char", "23*", "timestamp"),
    "uuid": ("TEXT", "char", "36", "uuid"),
    "long": ("INTEGER", "long", None, None),
    "int": ("INTEGER", "int", None, None),
    "double": ("REAL", "double", None, None),
    "boolean": ("TEXT", "boolean", None, None),
}
"""Type of a column: affinity in SQLite; datatype, arraysize and xtype in a VOTable."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table."""

    name: str
    type: str
    """A key of `TYPES`."""
    meaning: str = ""
    unit: str | None = None
    indexed: bool = False

    @property
    def affinity(self) -> str:
        """Type that SQLite stores it with."""
        return TYPES[self.type][0]

    @property
    def attributes(self) -> dict[str, str]:
        """Attributes of its FIELD in a VOTable, without the name."""
        _, datatype, size, xtype = TYPES[self.type]
        given = {"datatype": datatype, "arraysize": size, "xtype": xtype, "unit": self.unit}
        return {key: value for key, value in given.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Table:
    """One table and its columns."""

    schema: str
    name: str
    meaning: str
    columns: tuple[Column, ...]

    @property
    def full_name(self) -> str:
        """Name with its schema, as queries write it."""
        return f"{self.schema}.{self.name}"

    @property
    def names(self) -> tuple[str, ...]:
        """Names of its columns."""
        return _names(self)

    @property
    def create(self) -> str:
        """Statements that make the table in SQLite, where each schema is an attached database."""
        columns = ", ".join(f"{column.name} {column.affinity}" for column in self.columns)
        return f"CREATE TABLE {self.full_name} ({columns})"

    @property
    def indices(self) -> Iterator[str]:
        """Statements that make its indices."""
        for column in self.columns:
            if column.indexed:
                yield f"CREATE INDEX {self.schema}.{self.name}_{column.name} ON {self.name} ({column.name})"


@functools.cache
def _names(table: Table) -> tuple[str, ...]:
    return tuple(column.name for column in table.columns)


def _columns(text: str) -> tuple[Column, ...]:
    """Read one column a line: name, type, unit or -, meaning; a name with * is indexed."""
    columns = []
    for line in text.strip().splitlines():
        name, kind, unit, meaning = line.split(maxsplit=3)
        columns.append(Column(name.rstrip("*"), kind, meaning, None if unit == "-" else unit, name.endswith("*")))
    return tuple(columns)


OBSERVATION = Table(
    "caom2",
    "Observation",
    "one exposure, or one master calibration made of several",
    _columns(
        """
        observationURI             char      -   identity of the observation
        obsID*                     uuid      -   primary key
        collection                 char      -   collection of the archive
        observationID              char      -   name within the collection
        algorithm_name             char      -   exposure, or how it was made of others
        type                       char      -   OBSTYPE of the header
        intent                     char      -   science or calibration
        sequenceNumber             int       -   odometer number
        metaRelease                timestamp -   when the description becomes public
        metaReadGroups             char      -   groups that may read the description before
        proposal_id                char      -   RUNID
        proposal_pi                char      -   principal investigator
        proposal_project           char      -   survey or large programme
        proposal_title             char      -   title of the proposal
        proposal_keywords          char      -   keywords of the proposal
        target_name                char      -   OBJECT of the header
        target_type                char      -   field or object
        target_standard            int       -   1 for a standard star
        target_moving              int       -   1 for a moving target
        targetPosition_coordinates_cval1 double deg right ascension of the target
        targetPosition_coordinates_cval2 double deg declination of the target
        telescope_name             char      -   telescope
        requirements_flag          char      -   fail if not observed as asked
        instrument_name            char      -   INSTRUME of the header
        instrument_keywords        char      -   instrument mode
        environment_seeing         double    arcsec seeing
        environment_humidity       double    -   relative humidity in per cent
        environment_elevation      double    deg altitude of the telescope
        environment_tau            double    -   zenith optical depth
        environment_ambientTemp    double    C   air temperature
        environment_photometric    int       -   1 for a photometric night
        members                    char      -   observations that it was made of
        typeCode                   char      -   S simple, D derived
        metaProducer               char      -   software that wrote the description
        lastModified               timestamp -   last change of this row
        maxLastModified*           timestamp -   last change of this row or of one below
        metaChecksum               char      -   checksum of this row
        accMetaChecksum            char      -   checksum of this row and those below
        """
    ),
)

PLANE = Table(
    "caom2",
    "Plane",
    "one product of an observation: the raw frame, the processed frame",
    _columns(
        """
        publisherID                char      -   identity that DataLink takes
        obsID*                     uuid      -   observation it belongs to
        planeID*                   uuid      -   primary key
        planeURI                   char      -   identity of the plane
        creatorID                  char      -   identity given by the creator
        productID                  char      -   name within the observation
        metaRelease                timestamp -   when the description becomes public
        dataRelease                timestamp -   when the pixels become public
        dataReadGroups             char      -   groups that may read the pixels before
        metaReadGroups             char      -   groups that may read the description before
        dataProductType            char      -   image
        calibrationLevel           int       -   1 raw, 2 calibrated
        provenance_name            char      -   pipeline
        provenance_version         char      -   EL_SYS of the header
        provenance_reference       char      -   page of the pipeline
        provenance_producer        char      -   who ran it
        provenance_project         char      -   project it was run for
        provenance_runID           char      -   CRUNID, the camera run
        provenance_lastExecuted    timestamp -   DATEPROC of the header
        provenance_keywords        char      -   keywords
        provenance_inputs          char      -   planes it was made of, separated by spaces
        metrics_background         double    -   sky background
        metrics_magLimit           double    mag limiting magnitude
        quality_flag               char      -   junk if it is known to be bad
        position_bounds            char      deg footprint
        position_bounds_size       double    deg extent
        position_dimension_naxis1  long      pix width
        position_dimension_naxis2  long      pix height
        position_sampleSize        double    arcsec pixel size
        energy_bounds_lower        double    m   shortest wavelength
        energy_bounds_upper        double    m   longest wavelength
        energy_bounds_width        double    m   width of the band
        energy_energyBands         char      -   Optical
        energy_bandpassName        char      -   FILTER of the header
        time_bounds_lower          double    d   start, modified Julian date
        time_bounds_upper          double    d   end, modified Julian date
        time_exposure              double    s   exposure time
        polarization_states        char      -   Stokes states
        metaProducer               char      -   software that wrote the description
        lastModified               timestamp -   last change of this row
        maxLastModified            timestamp -   last change of this row or of one below
        metaChecksum               char      -   checksum of this row
        accMetaChecksum            char      -   checksum of this row and those below
        """
    ),
)

ARTIFACT = Table(
    "caom2",
    "Artifact",
    "one file of a plane",
    _columns(
        """
        uri*                       char      -   identity of the file, which the locator takes
        planeID*                   uuid      -   plane it belongs to
        artifactID                 uuid      -   primary key
        productType                char      -   science, calibration, auxiliary, preview, thumbnail
        releaseType                char      -   data or meta: which release date holds for it
        contentType                char      -   MIME type
        contentLength              long      byte size
        contentChecksum            char      -   md5: and 32 hexadecimal digits
        contentRelease             timestamp -   when this one file becomes public
        contentReadGroups          char      -   groups that may read it before
        metaProducer               char      -   software that wrote the description
        lastModified               timestamp -   last change of this row
        maxLastModified            timestamp -   last change of this row
        metaChecksum               char      -   checksum of this row
        accMetaChecksum            char      -   checksum of this row
        """
    ),
)

CAOM2 = (OBSERVATION, PLANE, ARTIFACT)

TAP_SCHEMA = (
    Table(
        "tap_schema",
        "schemas",
        "schemas of this service",
        _columns("schema_name char - name\nutype char - data model\ndescription char - meaning"),
    ),
    Table(
        "tap_schema",
        "tables",
        "tables of this service",
        _columns(
            "schema_name char - schema\ntable_name char - name with schema\ntable_type char - table or view\n"
            "utype char - data model\ndescription char - meaning\ntable_index int - order"
        ),
    ),
    Table(
        "tap_schema",
        "columns",
        "columns of these tables",
        _columns(
            "table_name char - table\ncolumn_name char - name\nutype char - data model\nucd char - UCD\n"
            "unit char - unit\ndescription char - meaning\ndatatype char - VOTable type\narraysize char - length\n"
            "xtype char - extended type\nprincipal int - 1 for the main ones\nindexed int - 1 if indexed\n"
            "std int - 1 if standard\ncolumn_index int - order"
        ),
    ),
    Table(
        "tap_schema",
        "keys",
        "joins between tables",
        _columns(
            "key_id char - name\nfrom_table char - from\ntarget_table char - to\n"
            "utype char - data model\ndescription char - meaning"
        ),
    ),
    Table(
        "tap_schema",
        "key_columns",
        "columns of these joins",
        _columns("key_id char - name\nfrom_column char - from\ntarget_column char - to"),
    ),
)

KEYS = (
    ("k1", PLANE, "obsID", OBSERVATION, "obsID"),
    ("k2", ARTIFACT, "planeID", PLANE, "planeID"),
)
"""Joins: name, table and column, and the table and column that they point to."""

TABLES = CAOM2 + TAP_SCHEMA

COLUMNS = {column.name.lower(): column for table in reversed(TABLES) for column in table.columns}
"""Every column by its name in small letters; a name means the same in each table of caom2 that has it."""


def schema_rows() -> Iterator[tuple[str, tuple[object, ...]]]:
    """Rows of TAP_SCHEMA, each with the name of its table."""
    for name in dict.fromkeys(table.schema for table in TABLES):
        yield "schemas", (name, None, "description of the archive's files" if name == "caom2" else "this description")
    for index, table in enumerate(TABLES):
        yield "tables", (table.schema, table.full_name, "table", None, table.meaning, index)
        for place, column in enumerate(table.columns):
            kind = column.attributes
            described = (column.unit, column.meaning, kind["datatype"], kind.get("arraysize"), kind.get("xtype"))
            named = (table.full_name, column.name, None, None)
            yield "columns", (*named, *described, int(place < 16), int(column.indexed), int(table in CAOM2), place)
    for key, source, column_name, target, target_name in KEYS:
        yield "keys", (key, source.full_name, target.full_name, None, None)
        yield "key_columns", (key, column_name, target_name)
