"""Values as they stand in the text of a statement, where parameters cannot go.

Both are `E''` strings, whose meaning does not hang on `standard_conforming_strings`.
"""


def text(value: str) -> str:
    """Return a string as a literal. Raises `ValueError` for one with NUL, which ends a statement."""
    if "\0" in value:
        raise ValueError("PostgreSQL's text has no NUL")
    escaped = value.replace("\\", "\\\\").replace("'", "''")
    return f"E'{escaped}'"


def binary(value: bytes) -> str:
    """Return bytes as a literal of type bytea."""
    return f"E'\\\\x{value.hex()}'"
