"""aiortc at a portal's pictures: shows a colour by WHIP, or as Godot does by vsk-video, and says what colour it sees by WHEP, or in a clip."""

import array
import asyncio
import fractions
import json
import statistics
import struct
import time

import aiohttp
import av
from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpReceiver, RTCRtpSender, RTCSessionDescription
from aiortc.mediastreams import MediaStreamTrack
from voice_common import FRAME, obey, pcm, tell

WIDTH, HEIGHT, RATE = 320, 240, 15
NEAR = 40
VOICE = {"codec": "opus", "frame_ms": 20, "channels": 1, "rate": 48_000}


BLACK = 16, 128, 128
TONE = 440


class Clock:
    """When pictures and tones began: when the first of them was asked for."""

    def __init__(self):
        self.began = None

    async def wait(self, passed):
        self.began = self.began or time.monotonic()
        await asyncio.sleep(max(0, self.began + passed - time.monotonic()))


def beats(passed):
    """One second on, one second off."""
    return passed % 2 < 1


class Colour(MediaStreamTrack):
    kind = "video"

    def __init__(self, colour, clock, beat):
        super().__init__()
        # BT.601, as codecs have it.
        red, green, blue = (part / 255 for part in colour)
        luma = 0.299 * red + 0.587 * green + 0.114 * blue
        parts = 16 + 219 * luma, 128 + 112 * (blue - luma) / 0.886, 128 + 112 * (red - luma) / 0.701
        self.parts = [round(part) for part in parts]
        self.sent, self.clock, self.beat = 0, clock, beat

    async def recv(self):
        await self.clock.wait(self.sent / RATE)
        frame = av.VideoFrame(WIDTH, HEIGHT, "yuv420p")
        parts = self.parts if beats(self.sent / RATE) or not self.beat else BLACK
        for plane, part in zip(frame.planes, parts):
            plane.update(bytes([part]) * plane.buffer_size)
        frame.pts, frame.time_base = self.sent * 90_000 // RATE, fractions.Fraction(1, 90_000)
        self.sent += 1
        return frame


class Tone(MediaStreamTrack):
    kind = "audio"

    def __init__(self, clock):
        super().__init__()
        self.tone = pcm(TONE)
        self.sent, self.clock = 0, clock

    async def recv(self):
        await self.clock.wait(self.sent / VOICE["rate"])
        frame = av.AudioFrame(format="s16", layout="stereo", samples=FRAME)
        frame.planes[0].update(self.tone if beats(self.sent / VOICE["rate"]) else bytes(len(self.tone)))
        frame.sample_rate, frame.pts, frame.time_base = VOICE["rate"], self.sent, fractions.Fraction(1, VOICE["rate"])
        self.sent += FRAME
        return frame


def middle(frame):
    picture = frame.reformat(format="rgb24").planes[0]
    at = frame.height // 2 * picture.line_size + frame.width // 2 * 3
    return bytes(picture)[at : at + 3]


def near(one, other):
    return max(abs(one - other) for one, other in zip(one, other)) < NEAR


def begins(times):
    """When something begins, of times at which it is or is not."""
    before, begun = True, []
    for at, there in times:
        if there and not before:
            begun.append(at)
        before = there
    return begun


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

    async def show(self, url, token, codec, colour, beat=False):
        """With `beat` the colour and a tone are there for a second, and not for the next one."""
        connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        clock = Clock()
        connection.addTrack(Colour(colour, clock, beat))
        codecs = RTCRtpSender.getCapabilities("video").codecs
        (transceiver,) = connection.getTransceivers()
        transceiver.direction = "sendonly"
        transceiver.setCodecPreferences([it for it in codecs if it.mimeType == f"video/{codec}"])
        if beat:
            connection.addTrack(Tone(clock))
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

    async def hide(self):
        """Shows no more."""
        await self.connections.pop().close()
        tell("hidden")

    async def watch(self, url, token, codec=None):
        connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        transceiver = connection.addTransceiver("video", direction="recvonly")
        if codec:
            codecs = RTCRtpReceiver.getCapabilities("video").codecs
            transceiver.setCodecPreferences([it for it in codecs if it.mimeType == f"video/{codec}"])

        @connection.on("track")
        def on_track(track):
            self.track = track

        await self.connect(connection, url, token)
        tell("watched")

    async def received(self):
        """Says how many packets came to who watches."""
        stats = await self.connections[-1].getStats()
        tell("received", packets=sum(it.packetsReceived for it in stats.values() if it.type == "inbound-rtp"))

    async def see(self, colour):
        """Waits until this colour is seen."""
        while True:
            frame = await self.track.recv()
            if near(middle(frame), colour):
                return tell("seen", width=frame.width)

    async def decode(self, path, colour):
        """Says what is in a file: when the colour begins in it, and when the tone does."""
        with av.open(path) as file:
            video = file.streams.video[0]
            pictures = [(frame.time, near(middle(frame), colour)) for frame in file.decode(video)]
            said = {"codec": video.codec_context.name, "width": video.width, "height": video.height}
            said["duration"] = float(video.duration * video.time_base)
        # Of each frame that sounds. One in which the portal made up for a late packet has others.
        waves = []
        with av.open(path) as file:
            loud = []
            for frame in file.decode(file.streams.audio[0]):
                assert (frame.sample_rate, frame.layout.name) == (VOICE["rate"], "stereo"), frame
                wave = array.array("f", bytes(frame.planes[0])[: 4 * frame.samples])
                loud.append((frame.time, max(map(abs, wave)) > 0.1))
                if loud[-1][1] and frame.samples == FRAME:
                    waves.append(sum(a < 0 <= b for a, b in zip(wave, wave[1:])))
        said |= {"pictures": len(pictures), "voice": len(loud), "hertz": statistics.median(waves or [0]) * 50}
        tell("decoded", lit=begins(pictures), heard=begins(loud), last=pictures[-1][0], **said)

    async def quit(self):
        for connection in self.connections:
            await connection.close()
        if self.http:
            await self.http.close()


asyncio.run(obey(Guest()))
