"""Records mirror the tables, names and order; words come back as words."""

from dataclasses import fields

import pytest

from dbclient import archive, bookmark, findings, growth, records, rulebook, schema
from dbclient.schema.base import Word
from dbclient.schema.fillings import Filling

PAIRS = {
    records.FrameRecord: schema.Frame,
    records.NodeRecord: schema.Node,
    growth.GrowthRecord: schema.Growth,
    records.DaemonRecord: schema.Daemon,
    records.ReplicaRecord: schema.Replica,
    records.TransferRecord: schema.Transfer,
    records.LeaseRecord: schema.Lease,
    rulebook.ModeRecord: schema.Mode,
    rulebook.RuleRecord: schema.Rule,
    records.ProductRecord: schema.Product,
    records.JobRecord: schema.Job,
    records.RequestRecord: schema.Request,
    records.EventRecord: schema.Event,
    records.SealRecord: schema.Seal,
    archive.ArchiveRecord: schema.Archive,
    bookmark.BookmarkRecord: schema.Bookmark,
    findings.AuditRecord: schema.Audit,
    findings.AuditFindingRecord: schema.AuditFinding,
    records.HostRecord: schema.Host,
    records.DifferenceRecord: schema.Difference,
    records.PublicationRecord: schema.Publication,
    records.ReceiptRecord: schema.Receipt,
    records.ControlRecord: schema.Control,
    records.ConfigurationRecord: schema.Configuration,
}
JOINED = {
    findings.AuditFindingRecord: ["node", "frame"],
    records.TransferRecord: ["frame", "node"],
    records.JobRecord: ["frame", "node"],
}
"""What a record carries beside its table's columns."""


@pytest.mark.parametrize("kind", PAIRS, ids=lambda kind: kind.__name__)
def test_a_record_has_the_fields_of_its_table(kind):
    held = [field.name for field in fields(kind)]
    assert held == [column.name for column in PAIRS[kind].__table__.columns] + JOINED.get(kind, [])
    assert kind.__dataclass_params__.frozen
    assert hasattr(kind, "__slots__")


@pytest.mark.parametrize("kind", PAIRS, ids=lambda kind: kind.__name__)
def test_a_field_is_optional_where_its_column_is_and_a_word_where_it_is_one(kind):
    columns = PAIRS[kind].__table__.columns
    for field in fields(kind):
        if field.name not in columns:
            continue
        column = columns[field.name]
        assert ("None" in str(field.type)) == bool(column.nullable), field.name
        if isinstance(column.type, Word):
            assert column.type.words in {field.type, *getattr(field.type, "__args__", ())}


SUMS = {schema.Stock, schema.Tally, schema.TallyChange, schema.TallyMark, Filling}
"""Tables of which only sums are ever read."""


def test_every_table_has_a_record_or_is_of_the_accounts_or_only_summed():
    tables = {mapper.class_ for mapper in schema.Base.registry.mappers}
    assert tables - set(PAIRS.values()) - SUMS == {schema.Account, schema.LoginSession, schema.LoginFailure}


def test_every_word_fits_its_column():
    for mapper in schema.Base.registry.mappers:
        for column in mapper.local_table.columns:
            if isinstance(column.type, Word):
                assert max(len(word.value) for word in column.type.words) <= column.type.length, column
