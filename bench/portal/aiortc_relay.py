"""aiortc's relay: what one peer publishes by WHIP, others hear and see by WHEP. It stands beside a portal in bench/portal.exs and bench/pictures.exs.

It says "port PORT", and ends with a line or when its stdin closes.
"""

import asyncio
import sys
from pathlib import Path

from aiohttp import web
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.contrib.media import MediaRelay

relay = MediaRelay()
published = {}
sessions = {}


async def offer(request):
    portal, kind = request.match_info["portal"], request.match_info["kind"]
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))

    @connection.on("track")
    def on_track(track):
        published[portal, track.kind] = track

    sdp = await request.text()
    if kind == "whep":
        for wanted in "audio", "video":
            if f"m={wanted} " in sdp and (portal, wanted) in published:
                connection.addTrack(relay.subscribe(published[portal, wanted], buffered=False))
    await connection.setRemoteDescription(RTCSessionDescription(sdp, "offer"))
    await connection.setLocalDescription(await connection.createAnswer())
    session = f"/portal/{portal}/{kind}/{len(sessions)}"
    sessions[session] = connection
    return web.Response(
        status=201,
        text=connection.localDescription.sdp,
        headers={"Content-Type": "application/sdp", "Location": session},
    )


async def end(request):
    await sessions[request.path].close()
    return web.Response()


async def page(request):
    """World TV's page, which is to play by WHEP here too."""
    files = (Path(folder, request.match_info["file"] or "index.html") for folder in ("assets/tv", "assets/common"))
    file = next((file for file in files if file.is_file()), None)
    return web.FileResponse(file) if file else web.Response(status=404)


async def main():
    app = web.Application()
    app.router.add_post("/portal/{portal}/{kind:whip|whep}", offer)
    app.router.add_get("/portal/{portal}/tv/{file:[a-z.]*}", page)
    app.router.add_delete("/portal/{portal}/{kind}/{session}", end)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print("ready", flush=True)
    print(f"port {runner.addresses[0][1]}", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    await asyncio.gather(*(connection.close() for connection in sessions.values()))
    await runner.cleanup()


asyncio.run(main())
