"""Catalogues as Parquet, with a VOTable that tells units and UCDs in the foot of the file.

The form is that of the IVOA note "Parquet in the VO" (VOParquet 1.0): the value of a key of the file's metadata is a
VOTable without data. TOPCAT and astropy (``Table.read(path, format="parquet.votable")``) read it, every reader of
Parquet reads the rows.
"""

from collections.abc import Sequence
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from processing.sextractor.extraction import Extraction
from processing.sextractor.parameters import Wanted

_TYPES = {"I": pa.int16(), "J": pa.int32(), "E": pa.float32(), "D": pa.float64()}


def write(stream: IO[bytes], extractions: Sequence[Extraction], votable: str) -> None:
    """Write the sources of all images, those of an image as a group of rows.

    Parameters
    ----------
    votable : a VOTable without data, its fields in the order of the columns
    """
    wanted = extractions[0].wanted
    fields = [pa.field(each.column.name, _type(each), nullable=False) for each in wanted]
    told = {"IVOA.VOTable-Parquet.version": "1.0", "IVOA.VOTable-Parquet.content": votable}
    schema = pa.schema(fields, metadata=told)
    with pq.ParquetWriter(stream, schema, compression="zstd") as writer:
        for extraction in extractions:
            columns = [_column(each, extraction) for each in wanted]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))


def _type(each: Wanted) -> pa.DataType:
    kind = _TYPES[each.column.type]
    return pa.list_(kind, each.size) if each.shape else kind


def _column(each: Wanted, extraction: Extraction) -> pa.Array:
    kind = _TYPES[each.column.type]
    cells = np.ascontiguousarray(extraction.table[each.name], kind.to_pandas_dtype()).reshape(-1)
    flat = pa.array(cells, kind)
    return pa.FixedSizeListArray.from_arrays(flat, type=_type(each)) if each.shape else flat
