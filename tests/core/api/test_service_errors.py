"""Every row of the table of service errors, received over a socket."""

import msgspec
import pytest

from core.api.advice import ADVICE
from core.errors import ModelFailure
from core.texts import answers as texts
from tests.core.api.raw_server import raw_server, response
from tests.core.api.service_errors import SERVICE_ERRORS, ServiceError
from tests.core.api.stream_result import read_stream


@pytest.mark.parametrize("row", [pytest.param(row, id=row.name) for row in SERVICE_ERRORS])
async def test_error_is_understood(row: ServiceError) -> None:
    body = row.body.encode() if isinstance(row.body, str) else msgspec.json.encode(row.body)
    headers = [f"{name}: {value}" for name, value in row.headers.items()]
    answer = response(row.status, body, *headers, content_type=row.content_type)
    async with raw_server(lambda _n: [answer]) as server:
        error = (await read_stream(server.url)).error
    assert error is not None
    assert (error.failure, error.limit) == (row.failure, row.limit)
    assert "".join(error.rejected_parts[:1]) == row.rejected_part
    assert row.person in texts.model_failed(error, 17)
    assert row.operator in ADVICE[error.failure]


@pytest.mark.parametrize("failure", ModelFailure)
def test_operator_gets_advice(failure: ModelFailure) -> None:
    assert ADVICE[failure].endswith(".")
