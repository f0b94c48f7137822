"""What seed programs of a webmail do, on asyncio: the cookie's token (HS512) names a session, Redis holds its credentials,
encrypted by AES-256-GCM, and the request goes on with HTTP Basic. One process, as its README would show it.

    credentials-proxy.py PORT ORIGIN_PORT REDIS_PORT JWT_KEY CREDENTIALS_KEY_HEX
"""
import base64
import hashlib
import hmac
import json
import sys
import time

import redis.asyncio as redis
from aiohttp import ClientSession, DummyCookieJar, TCPConnector, web
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

port, origin_port, redis_port = (int(text) for text in sys.argv[1:4])
jwt_key = sys.argv[4].encode()
cipher = AESGCM(bytes.fromhex(sys.argv[5]))
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "content-length", "cookie"}


def decoded(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def claims_of(token):
    head, payload, signature = token.split(".")
    if json.loads(decoded(head))["alg"] != "HS512":
        return None
    expected = hmac.new(jwt_key, f"{head}.{payload}".encode(), hashlib.sha512).digest()
    if not hmac.compare_digest(expected, decoded(signature)):
        return None
    claims = json.loads(decoded(payload))
    return claims if claims["exp"] > time.time() else None


def credentials_of(record, key):
    envelope = decoded(json.loads(record)["credentials"])
    return cipher.decrypt(envelope[5:17], envelope[17:], key.encode())


async def answer(request):
    try:
        claims = claims_of(request.cookies.get("Authorization", ""))
    except (ValueError, KeyError):
        claims = None
    record = None if claims is None else await request.app["redis"].get(claims["sid"])
    if record is None:
        return web.Response(status=401)
    try:
        basic = base64.b64encode(credentials_of(record, claims["sid"])).decode()
    except (InvalidTag, ValueError, KeyError):
        return web.Response(status=401)
    headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP}
    headers |= {
        "Authorization": f"Basic {basic}",
        "X-Forwarded-For": request.remote,
        "X-Forwarded-Proto": "http",
        "X-Forwarded-Host": request.host,
    }
    body = await request.read() if request.can_read_body else None
    url = f"http://127.0.0.1:{origin_port}{request.path_qs}"
    async with request.app["session"].request(request.method, url, headers=headers, data=body) as upstream:
        passed = [(name, value) for name, value in upstream.headers.items() if name.lower() not in HOP_BY_HOP]
        return web.Response(status=upstream.status, headers=passed, body=await upstream.read())


async def start(app):
    app["redis"] = redis.Redis(port=redis_port)
    app["session"] = ClientSession(connector=TCPConnector(limit=0), cookie_jar=DummyCookieJar(), auto_decompress=False)


app = web.Application()
app.on_startup.append(start)
app.router.add_route("*", "/{path:.*}", answer)
web.run_app(app, host="127.0.0.1", port=port, access_log=None, print=None)
