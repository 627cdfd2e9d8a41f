"""The shop's authorizer runs beside the tests, and calls ask it instead of the one that ivr-sim brings."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Thread

import pytest
from shop import PASSWORD, USER, create_app
from werkzeug.serving import make_server


@pytest.fixture(scope="session")
def authorizer_url() -> Iterator[str]:
    server = make_server("127.0.0.1", 0, create_app(), threaded=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/authorizer"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="session")
def authorizer_login() -> tuple[str, str]:
    return USER, PASSWORD
