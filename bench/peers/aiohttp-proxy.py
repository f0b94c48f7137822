# A reverse proxy as one writes it with aiohttp: asks an endpoint about every request, and passes on those that it lets go on.
import os
import sys

from aiohttp import ClientSession, ClientTimeout, TCPConnector, web

PORT, ORIGIN_PORT = int(sys.argv[1]), int(sys.argv[2])
AUTH = f"http://127.0.0.1:{os.environ['AUTH_PORT']}/auth"
ORIGIN = f"http://127.0.0.1:{ORIGIN_PORT}"
HOP_BY_HOP = {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "content-length"}


def end_to_end(headers):
    return {name: value for name, value in headers.items() if name.lower() not in HOP_BY_HOP}


async def handle(request):
    session = request.app["session"]
    headers = end_to_end(request.headers)
    headers["X-Forwarded-For"] = request.remote
    headers["X-Forwarded-Proto"] = request.scheme
    headers["X-Forwarded-Host"] = request.host
    question = {name: value for name, value in headers.items() if name.lower() != "host"}
    question["X-Forwarded-Method"] = request.method
    question["X-Forwarded-Uri"] = request.path_qs
    async with session.get(AUTH, headers=question, allow_redirects=False) as verdict:
        if verdict.status >= 300:
            return web.Response(status=verdict.status, headers=end_to_end(verdict.headers), body=await verdict.read())
        headers.pop("X-User", None)
        if "X-User" in verdict.headers:
            headers["X-User"] = verdict.headers["X-User"]
    data = request.content if request.can_read_body else None
    async with session.request(
        request.method, ORIGIN + request.path_qs, headers=headers, data=data, allow_redirects=False
    ) as answer:
        response = web.StreamResponse(status=answer.status, headers=end_to_end(answer.headers))
        if answer.content_length is not None:
            response.content_length = answer.content_length
        await response.prepare(request)
        async for chunk in answer.content.iter_any():
            await response.write(chunk)
        await response.write_eof()
        return response


async def start(app):
    connector = TCPConnector(limit=0, keepalive_timeout=3600)
    app["session"] = ClientSession(connector=connector, auto_decompress=False, timeout=ClientTimeout(total=None))


async def stop(app):
    await app["session"].close()


app = web.Application(client_max_size=2**40)
app.on_startup.append(start)
app.on_cleanup.append(stop)
app.router.add_route("*", "/{path:.*}", handle)
web.run_app(app, host="127.0.0.1", port=PORT, access_log=None, keepalive_timeout=3600, backlog=4096, print=None)
