import pytest

from reconciler.workspace.address import identity, is_postgres, shown


@pytest.mark.parametrize(
    ("url", "bare"),
    [
        ("sqlite:a@b.db", "sqlite:a@b.db"),
        ("postgresql://host/db", "postgresql://host/db"),
        ("postgresql://ann@host:5432/db", "postgresql://ann@host:5432/db"),
        ("postgres://ann:pw@host/db?sslmode=require", "postgres://ann@host/db?sslmode=require"),
        ("postgresql://ann:p@w/x@host/db", "postgresql://ann@host/db"),
        ("postgresql://:pw@host/db", "postgresql://@host/db"),
        ("postgresql://host/db?password=pw", "postgresql://host/db"),
        ("postgresql://host/db?password=pw&port=1", "postgresql://host/db?port=1"),
        ("postgresql://host/db?port=1&sslpassword=pw", "postgresql://host/db?port=1"),
    ],
)
def test_a_url_is_shown_without_passwords(url, bare):
    assert shown(url) == bare
    assert is_postgres(url) is not url.startswith("sqlite")


def test_a_workspace_is_told_by_where_its_url_leads():
    one = identity("postgresql://ann:pw@host:5432/db", {})
    assert one == identity("postgresql://ben@host:5432/db", {})
    assert len(one) == 16
    others = [
        identity("postgresql://ann@host/db", {}),
        identity("postgresql://ann@other:5432/db", {}),
        identity("postgresql://ann@host:5432/other", {}),
        identity("postgresql://ann@host:5432/db?options=-csearch_path%3Dteam", {}),
        identity("postgresql://ann@host:5432/db?service=prod", {}),
    ]
    assert len({one, *others}) == 6


def test_what_a_url_leaves_open_is_taken_from_the_environment():
    environment = {"PGHOST": "host", "PGDATABASE": "db"}
    assert identity("postgresql://", environment) == identity("postgresql://host/db", {})
    assert identity("postgresql:///db?host=host", {}) == identity("postgresql://host/db", {})
    assert identity("postgresql://other/db", environment) == identity("postgresql://other/db", {})
