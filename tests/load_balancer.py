"""A reverse proxy on loopback in front of several webhook processes."""

import io
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web


@asynccontextmanager
async def load_balancer(ports: Sequence[int], path: str) -> AsyncIterator[str]:
    """Yield a URL whose requests go to `ports` in turn, skipping ports on which nothing listens."""
    order = list(ports)

    async def forward(request: web.Request) -> web.Response:
        content = await request.read()
        order.append(order.pop(0))
        for port in list(order):
            target = f"http://127.0.0.1:{port}{request.path}"
            try:
                async with session.post(target, data=io.BytesIO(content), headers=request.headers) as answer:
                    return web.Response(status=answer.status)
            except aiohttp.ClientConnectorError:
                continue
            except aiohttp.ClientError:
                break  # the process may have received it
        return web.Response(status=502)

    app = web.Application()
    app.router.add_post("/{path:.*}", forward)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    async with aiohttp.ClientSession() as session:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}{path}"
        await runner.cleanup()
