"""Proxies before two servers that say what reaches them."""

from collections.abc import Iterator

import pytest

from tests.deploy.echo import Echo, echoing
from tests.deploy.house import Proxy, proxy


@pytest.fixture(scope="module")
def echoes() -> Iterator[list[Echo]]:
    """Two servers where the replicas would be."""
    with echoing() as first, echoing() as second:
        yield [first, second]


@pytest.fixture(scope="module", params=["nginx", "caddy"])
def front(request, echoes, tmp_path_factory) -> Iterator[Proxy]:
    """Each proxy before the two."""
    with proxy(request.param, tmp_path_factory.mktemp(request.param), [each.port for each in echoes]) as found:
        yield found
