"""A connection to SQLite on which statements that are made once run straight on the driver.

SQLAlchemy looks up how a statement is compiled by all of its parts, prepares each execution anew and wraps what comes
of it: several times what SQLite itself takes for a row by its key. What can be known of a statement beforehand is kept
here for as long as the statement is, and it begins with its second execution: what is made for one use gains nothing.
"""

import sqlite3
from collections import namedtuple
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final
from weakref import WeakKeyDictionary

import sqlalchemy as sa
from sqlalchemy.engine.result import IteratorResult, SimpleResultMetaData
from sqlalchemy.sql.compiler import SQLCompiler

Processor = Callable[[Any], Any] | None
"""Turns a value into the other side's form; None where both have the same."""


class _Plan:
    """How one statement is executed with parameters of certain names."""

    __slots__ = ("_fixed", "_metadata", "_new_row", "_parameters", "_results", "sql")

    def __init__(
        self,
        sql: str,
        parameters: Sequence[tuple[str, Processor]],
        fixed: Mapping[str, object],
        metadata: SimpleResultMetaData | None,
        results: Sequence[Processor],
    ) -> None:
        self.sql = sql
        self._parameters = parameters
        self._fixed = fixed
        self._metadata = metadata
        self._results = tuple((at, one) for at, one in enumerate(results) if one is not None)
        self._new_row = None if metadata is None else _row_maker(list(metadata.keys))

    def values(self, given: Mapping[str, object]) -> list[object]:
        """Put the parameters in order, in the driver's form. Raises KeyError where one is missing."""
        fixed = self._fixed
        values = []
        for name, process in self._parameters:
            if name in fixed:
                values.append(fixed[name])
            else:
                value = given[name]
                values.append(value if process is None else process(value))
        return values

    def result(self, cursor: sqlite3.Cursor) -> "_Rows | _Written":
        """Wrap what a statement brought."""
        if self._metadata is None or self._new_row is None:
            return _Written(cursor.rowcount)
        rows = cursor.fetchall()
        if self._results and rows:
            # column by column: a loop over rows in Python would cost more than SQLite takes to find them
            columns: list[Any] = list(zip(*rows, strict=True))
            for at, process in self._results:
                columns[at] = map(process, columns[at])
            rows = list(map(self._new_row, zip(*columns, strict=True)))
        elif rows:
            rows = list(map(self._new_row, rows))
        return _Rows(rows, self._metadata)


def _row_maker(names: Sequence[str]) -> Callable[[Any], tuple[Any, ...]]:
    """Return what makes a row of its values: a tuple with *names*, and several times as quick as SQLAlchemy's."""
    fields = namedtuple("Row", names, rename=True)  # type: ignore[misc]  # noqa: PYI024 - known when it runs

    class Row(fields):
        __slots__ = ()

        @property
        def _mapping(self) -> Mapping[str, Any]:
            """As that of SQLAlchemy's rows."""
            return dict(zip(names, self, strict=True))

    return partial(tuple.__new__, Row)


class _Rows:
    """The rows that a statement brought, with what is asked of them again and again; all else SQLAlchemy does."""

    __slots__ = ("_left", "_metadata")

    returns_rows: Final = True

    def __init__(self, rows: list[Any], metadata: SimpleResultMetaData) -> None:
        self._left = rows
        self._metadata = metadata

    def __iter__(self) -> Iterator[Any]:
        return iter(self._take())

    def all(self) -> list[Any]:
        """Return all rows."""
        return self._take()

    def fetchall(self) -> list[Any]:
        """As `all`."""
        return self._take()

    def first(self) -> Any:
        """Return the first row, None where there is none."""
        rows = self._take()
        return rows[0] if rows else None

    def one_or_none(self) -> Any:
        """Return the only row, None where there is none. Raises MultipleResultsFound."""
        rows = self._take()
        if len(rows) > 1:
            raise sa.exc.MultipleResultsFound("Multiple rows were found when one or none was required")
        return rows[0] if rows else None

    def one(self) -> Any:
        """Return the only row. Raises NoResultFound, MultipleResultsFound."""
        row = self.one_or_none()
        if row is None:
            raise sa.exc.NoResultFound("No row was found when one was required")
        return row

    def scalar(self) -> Any:
        """Return the first column of the first row, None where there is none."""
        row = self.first()
        return None if row is None else row[0]

    def scalar_one(self) -> Any:
        """Return the first column of the only row. Raises as `one`."""
        return self.one()[0]

    def scalars(self) -> "_Values":
        """Return the first column of each row."""
        return _Values([row[0] for row in self._take()], self._metadata)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._whole(), name)

    def _take(self) -> list[Any]:
        """Rows are brought once."""
        rows, self._left = self._left, []
        return rows

    def _whole(self) -> sa.Result[Any] | sa.ScalarResult[Any]:
        return IteratorResult(self._metadata, iter(self._take()))


class _Values(_Rows):
    """As rows, of one value each."""

    __slots__ = ()

    def _whole(self) -> sa.ScalarResult[Any]:
        return IteratorResult(SimpleResultMetaData(["value"]), iter([(value,) for value in self._take()])).scalars()


class _Written:
    """The result of a statement that brings no rows."""

    __slots__ = ("rowcount",)

    returns_rows: Final = False

    def __init__(self, rowcount: int) -> None:
        self.rowcount = rowcount


_Plans = dict[frozenset[str], _Plan | None]
"""By the names of the parameters; None: SQLAlchemy executes it."""


class SqliteConnection(sa.Connection):
    """As its base, and quicker for statements that live longer than one execution."""

    def __init__(self, engine: sa.Engine) -> None:
        """Take a connection from the pool."""
        super().__init__(engine)
        driver_connection = self.connection.driver_connection
        assert isinstance(driver_connection, sqlite3.Connection)
        self._cursor = driver_connection.cursor

    def execute(self, statement: Any, parameters: Any = None, *, execution_options: Any = None) -> Any:
        """Execute *statement*, once for each of several sets of parameters."""
        is_many = isinstance(parameters, list)
        first = (parameters[0] if parameters else None) if is_many else parameters
        plan = None if execution_options else _plan_for(statement, first or _NONE, self.dialect)
        if plan is None:
            return super().execute(statement, parameters, execution_options=execution_options)
        cursor = self._cursor()
        try:
            if is_many:
                cursor.executemany(plan.sql, [plan.values(one) for one in parameters])
            else:
                cursor.execute(plan.sql, plan.values(first or _NONE))
            return plan.result(cursor)
        except sqlite3.Error as error:
            raise sa.exc.DBAPIError.instance(plan.sql, None, error, sqlite3.Error, hide_parameters=True) from error

    def scalar(self, statement: Any, parameters: Any = None, *, execution_options: Any = None) -> Any:
        """Return the first column of the first row; None where there is no row."""
        return self.execute(statement, parameters, execution_options=execution_options).scalar()

    def scalars(self, statement: Any, parameters: Any = None, *, execution_options: Any = None) -> Any:
        """Return the first column of each row."""
        return self.execute(statement, parameters, execution_options=execution_options).scalars()


_NONE: Final[Mapping[str, object]] = {}
_known: WeakKeyDictionary[Any, _Plans] = WeakKeyDictionary()


def _plan_for(statement: Any, parameters: Mapping[str, object], dialect: sa.Dialect) -> _Plan | None:
    """Return how to execute a statement that is seen again; None where that is for SQLAlchemy."""
    if not isinstance(statement, _STATEMENTS):
        return None
    plans = _known.get(statement)
    if plans is None:
        _known[statement] = {}
        return None
    names = frozenset(parameters)
    try:
        return plans[names]
    except KeyError:
        plan = plans[names] = _plan(statement, names, dialect)
        return plan


_STATEMENTS: Final = (sa.Select, sa.CompoundSelect, sa.Insert, sa.Update, sa.Delete)


def _plan(statement: Any, names: frozenset[str], dialect: sa.Dialect) -> _Plan | None:
    compiled = statement.compile(dialect=dialect, column_keys=sorted(names))
    assert isinstance(compiled, SQLCompiler)
    if compiled.literal_execute_params or compiled.insert_prefetch or compiled.update_prefetch:
        return None
    sql = compiled.string
    parameters: list[tuple[str, Processor]] = []
    fixed: dict[str, object] = {}
    for name in compiled.positiontup or ():
        bind = compiled.binds[name]
        process: Processor = bind.type.dialect_impl(dialect).bind_processor(dialect)
        if name not in names and bind.required:
            return None  # and SQLAlchemy says what is missing
        if bind in compiled.post_compile_params:
            listed = None if name in names else bind.effective_value
            if not listed or not isinstance(listed, list | tuple) or isinstance(listed[0], list | tuple):
                return None  # how many there are is known at its execution
            sql = sql.replace(f"(__[POSTCOMPILE_{name}])", f"({', '.join('?' * len(listed))})")
            parts = [(f"{name} {number}", value) for number, value in enumerate(listed)]
        else:
            parts = [(name, bind.effective_value)]
        if name not in names:
            fixed |= {part: value if process is None else process(value) for part, value in parts}
        parameters += [(part, process) for part, _ in parts]
    if "__[POSTCOMPILE_" in sql:
        return None
    columns = compiled._result_columns  # noqa: SLF001 - what the public result is made of
    results = [column.type.dialect_impl(dialect).result_processor(dialect, None) for column in columns]
    metadata = SimpleResultMetaData([column.keyname for column in columns]) if columns else None
    return _Plan(sql, parameters, fixed, metadata, results)
