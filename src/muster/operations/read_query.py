"""A query is read, with the groups that it names as they are now."""

from muster.domain.errors import Refusal, RefusalCode
from muster.domain.queries.errors import QueryError, pointed_out
from muster.domain.queries.groups import names_of, resolve
from muster.domain.queries.parser import parse_query
from muster.domain.queries.syntax import Query
from muster.storage import groups
from muster.storage.engine import Transaction


def read_query(tx: Transaction, text: str, within: tuple[str, ...] = ()) -> Query | Refusal:
    """Read a query for `storage.queries`; refused, with the place that is wrong, where it can't be.

    *within*: names of groups that it is to be part of.
    """
    try:
        query = parse_query(text)
        return resolve(query, groups.read_all(tx) if names_of(query) else {}, within)
    except QueryError as error:
        message = f"the query is wrong at column {error.column}: {pointed_out(text, error)}"
        return Refusal(RefusalCode.QUERY_UNFIT, message, "The manual's page on queries has the fields and an example.")
