"""Every test here runs on SQLite and on PostgreSQL."""

from tests.support.databases import database, database_url, postgresql, sqlite_template

__all__ = ["database", "database_url", "postgresql", "sqlite_template"]
