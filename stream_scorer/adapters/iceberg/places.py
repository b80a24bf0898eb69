"""Which Iceberg table a URI names, and how its catalog is opened.

`iceberg://CATALOG/NAMESPACE.TABLE` names a table of a catalog that pyiceberg knows by its own file (`.pyiceberg.yaml`)
or variables (`PYICEBERG_CATALOG__NAME__URI`). Properties of the catalog may follow instead:
`iceberg://lake/shop.labels?type=rest&uri=https://catalog:8181`. Secrets may not, since places are logged and printed.
"""

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from pyiceberg.catalog import Catalog, load_catalog

from stream_scorer.errors import UsageError

SCHEME = "iceberg://"
_SHAPE = "iceberg://CATALOG/NAMESPACE.TABLE, which properties of the catalog may follow: ?type=rest&uri=https://host"
_SECRET = re.compile(r"secret|token|credential|password|access-key|account-key", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class TablePlace:
    """A table of a catalog; `identifier` is the namespace, level by level, and the table's name."""

    catalog: str
    identifier: tuple[str, ...]
    properties: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, place: str) -> "TablePlace":
        """Read a URI. Raises UsageError for one that names no table, and for one with a secret in it."""
        parts = urlsplit(place)
        identifier = tuple(parts.path.strip("/").split("."))
        if not parts.netloc or len(identifier) < 2 or not all(identifier):
            raise UsageError(f"an Iceberg table is named {_SHAPE}; got {place.partition('?')[0]}")
        properties = tuple(parse_qsl(parts.query, keep_blank_values=True))
        for name, value in properties:
            if _SECRET.search(name) or urlsplit(value).password:
                raise UsageError(
                    f"{name} of catalog {parts.netloc} is a secret, and the place of a table is logged and printed: "
                    "give it in pyiceberg's own file or variables, such as PYICEBERG_CATALOG__"
                    f"{parts.netloc.upper()}__{name.upper().replace('-', '_')}"
                )
        return cls(parts.netloc, identifier, properties)

    def __str__(self) -> str:
        """Return the catalog and the table, without the properties."""
        return f"{self.catalog}/{'.'.join(self.identifier)}"

    def open(self) -> Catalog:
        """Open the catalog. Raises ValueError where pyiceberg does not know it, and errors of the catalog's client."""
        return load_catalog(self.catalog, **dict(self.properties))
