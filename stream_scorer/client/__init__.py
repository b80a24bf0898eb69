"""A client of the ring: it sends requests and acceptances, and waits for rankings.

```python
from stream_scorer.client import connect, new_acceptance, new_request

with connect("broker:9092") as client:
    ranking = client.rank(new_request("ada", {"likes": "drink"}, limit=3))
    client.send(new_acceptance(ranking, ranking.offers[0].offer_id))
```

`connect_async` gives the same for asyncio. A client is for many threads and many requests: open one, and keep it.
"""

from stream_scorer.client.asynchronous import AsyncClient
from stream_scorer.client.blocking import Client
from stream_scorer.client.building import new_acceptance, new_request
from stream_scorer.client.opening import connect, connect_async
from stream_scorer.core.messages import Acceptance, CustomerRequest, Filter, RankedOffer, Ranking, RequestedOffer
from stream_scorer.errors import NoRanking, NotDelivered, RequestRefused

__all__ = [
    "Acceptance",
    "AsyncClient",
    "Client",
    "CustomerRequest",
    "Filter",
    "NoRanking",
    "NotDelivered",
    "RankedOffer",
    "Ranking",
    "RequestRefused",
    "RequestedOffer",
    "connect",
    "connect_async",
    "new_acceptance",
    "new_request",
]
