"""A plain proxy of aiohttp's server and client: `python -m bench.peers.aiohttp_proxy LISTEN UPSTREAM`."""

from collections.abc import AsyncIterator

import click
from aiohttp import ClientSession, TCPConnector, web  # noqa: TID251 - this is what is measured

_HOP_BY_HOP = frozenset({"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"})


def _passed_on(headers: web.BaseRequest) -> list[tuple[str, str]]:
    return [(name, value) for name, value in headers.headers.items() if name.lower() not in _HOP_BY_HOP]


@click.command()
@click.option("--buffered/--streamed", default=False, help="Read a request's body before it is passed on.")
@click.argument("listen", type=int)
@click.argument("upstream", type=int)
def main(*, buffered: bool, listen: int, upstream: int) -> None:
    """Pass every request on to UPSTREAM, a port on this machine."""

    async def handle(request: web.Request) -> web.StreamResponse:
        session = request.app[_SESSION]
        body = await request.read() if buffered else request.content
        url = f"http://127.0.0.1:{upstream}{request.raw_path}"
        async with session.request(request.method, url, headers=_passed_on(request), data=body) as answer:
            fields = [(name, value) for name, value in answer.headers.items() if name.lower() not in _HOP_BY_HOP]
            return web.Response(status=answer.status, headers=dict(fields), body=await answer.read())

    async def with_session(app: web.Application) -> AsyncIterator[None]:
        async with ClientSession(connector=TCPConnector(limit=0), auto_decompress=False) as app[_SESSION]:
            yield

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    app.cleanup_ctx.append(with_session)
    web.run_app(app, host="127.0.0.1", port=listen, print=None, access_log=None)


_SESSION = web.AppKey("session", ClientSession)

if __name__ == "__main__":
    main()
