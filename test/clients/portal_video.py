"""aiortc at a portal's pictures: shows a colour by WHIP, or as Godot does by vsk-video, and says what colour it sees by WHEP."""

import asyncio
import fractions
import json
import struct
import time

import aiohttp
import av
from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.mediastreams import MediaStreamTrack
from voice_common import obey, tell

WIDTH, HEIGHT, RATE = 320, 240, 15
NEAR = 40
VOICE = {"codec": "opus", "frame_ms": 20, "channels": 1, "rate": 48_000}


class Colour(MediaStreamTrack):
    kind = "video"

    def __init__(self, colour):
        super().__init__()
        # BT.601, as codecs have it.
        red, green, blue = (part / 255 for part in colour)
        luma = 0.299 * red + 0.587 * green + 0.114 * blue
        parts = 16 + 219 * luma, 128 + 112 * (blue - luma) / 0.886, 128 + 112 * (red - luma) / 0.701
        self.parts = [round(part) for part in parts]
        self.sent, self.began = 0, None

    async def recv(self):
        self.began = self.began or time.monotonic()
        await asyncio.sleep(max(0, self.began + self.sent / RATE - time.monotonic()))
        frame = av.VideoFrame(WIDTH, HEIGHT, "yuv420p")
        for plane, part in zip(frame.planes, self.parts):
            plane.update(bytes([part]) * plane.buffer_size)
        frame.pts, frame.time_base = self.sent * 90_000 // RATE, fractions.Fraction(1, 90_000)
        self.sent += 1
        return frame


def jpeg(colour):
    frame = av.VideoFrame(WIDTH, HEIGHT, "rgb24")
    plane = frame.planes[0]
    plane.update((bytes(colour) * WIDTH).ljust(plane.line_size, b"\0") * HEIGHT)
    encoder = av.CodecContext.create("mjpeg", "w")
    encoder.width, encoder.height, encoder.pix_fmt = WIDTH, HEIGHT, "yuvj420p"
    encoder.time_base = fractions.Fraction(1, RATE)
    (packet,) = encoder.encode(frame.reformat(format="yuvj420p"))
    return bytes(packet)


class Guest:
    def __init__(self):
        self.connections, self.track, self.sending = [], None, None
        self.http = None

    async def connect(self, connection, url, token):
        self.http = self.http or aiohttp.ClientSession()
        connected = asyncio.Event()
        self.connections.append(connection)

        @connection.on("connectionstatechange")
        def changed():
            if connection.connectionState == "connected":
                connected.set()

        await connection.setLocalDescription(await connection.createOffer())
        headers = {"Content-Type": "application/sdp", "Authorization": f"Bearer {token}"}
        async with self.http.post(url, data=connection.localDescription.sdp, headers=headers) as response:
            answer = await response.text()
            assert response.status == 201, (response.status, answer)
        await connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        await connected.wait()

    async def show(self, url, token, codec, colour):
        connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        connection.addTrack(Colour(colour))
        codecs = RTCRtpSender.getCapabilities("video").codecs
        (transceiver,) = connection.getTransceivers()
        transceiver.direction = "sendonly"
        transceiver.setCodecPreferences([it for it in codecs if it.mimeType == f"video/{codec}"])
        await self.connect(connection, url, token)
        tell("shown")

    async def show_jpeg(self, url, token, colour):
        """A world's camera: small enough for one message a picture."""
        connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        control = connection.createDataChannel("vsk-control")
        video = connection.createDataChannel("vsk-video", ordered=False, maxRetransmits=1)
        welcome = asyncio.Event()

        @control.on("message")
        def on_message(message):
            if json.loads(message)["type"] == "welcome":
                welcome.set()

        await self.connect(connection, url, token)
        while "open" != control.readyState or "open" != video.readyState:
            await asyncio.sleep(0.01)
        control.send(json.dumps({"type": "hello", "proto": 1, "role": "world", "listens": "nothing", "voice": VOICE}))
        await welcome.wait()
        control.send(json.dumps({"type": "video", "shows": True}))
        self.sending = asyncio.create_task(self.send_jpeg(video, jpeg(colour)))
        tell("shown")

    async def send_jpeg(self, video, picture):
        number = 0
        while True:
            number += 1
            video.send(struct.pack("<BBHIIHH", 1, 1, 0, number, number * 200, 0, 1) + picture)
            await asyncio.sleep(0.2)

    async def watch(self, url, token):
        connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        connection.addTransceiver("video", direction="recvonly")

        @connection.on("track")
        def on_track(track):
            self.track = track

        await self.connect(connection, url, token)
        tell("watched")

    async def see(self, colour):
        """Waits until this colour is seen."""
        while True:
            frame = await self.track.recv()
            picture = frame.reformat(format="rgb24").planes[0]
            middle = frame.height // 2 * picture.line_size + frame.width // 2 * 3
            pixel = bytes(picture)[middle : middle + 3]
            if max(abs(one - other) for one, other in zip(pixel, colour)) < NEAR:
                return tell("seen", width=frame.width)

    async def quit(self):
        for connection in self.connections:
            await connection.close()
        if self.http:
            await self.http.close()


asyncio.run(obey(Guest()))
