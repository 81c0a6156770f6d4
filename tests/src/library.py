"""One side of a conversation on the reference's library: python library.py URL APPID COUNT [CODE].

It says on standard output what it was given, a line each, and ends with how its wormhole was closed.
"""

import hashlib
import sys

import wormhole
from twisted.internet.defer import ensureDeferred
from twisted.internet.task import react


def record(sender, number):
    """What `sender` says as its record of this number: mostly short, sometimes nothing, now and then 60,000 bytes."""
    length = 60_000 if number % 50 == 49 else number * 7 % 300
    unit = f"{sender} {number} ".encode()
    return (unit * (length // len(unit) + 1))[:length]


def say(name, value):
    print(f"{name}: {value}", flush=True)


async def talk(reactor, url, appid, count, code=None):
    side = wormhole.create(appid, url, reactor, versions={"of": "python", "list": [1, "é"]})
    if code is None:
        side.allocate_code(2)
    else:
        side.set_code(code)
    say("code", await side.get_code())
    for number in range(int(count)):
        side.send_message(record("python", number))
    say("verifier", (await side.get_verifier()).hex())
    versions = await side.get_versions()
    say("versions", " ".join(f"{key}={value}" for key, value in sorted(versions.items())))
    say("key", side.derive_key("example.com/purpose é", 40).hex())
    heard = hashlib.sha256()
    for number in range(int(count)):
        came = await side.get_message()
        if came != record("rust", number):
            say("wrong", f"record {number} has {len(came)} bytes")
        heard.update(len(came).to_bytes(4, "big") + came)
    say("heard", heard.hexdigest())
    say("closed", await side.close())


react(lambda reactor, *arguments: ensureDeferred(talk(reactor, *arguments)), sys.argv[1:])
