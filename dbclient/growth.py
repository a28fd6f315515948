"""What stages wrote of frames, as a record; units as in `dbclient.schema.growths`."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class GrowthRecord:
    instrument: str
    stage: str
    kind: str
    product_bytes: float
    file_bytes: float
    unpacked_bytes: float
    products: int
    counted_at: datetime
