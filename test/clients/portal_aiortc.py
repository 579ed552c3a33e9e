"""aiortc as a guest of a portal: speaks in a tone by a track, and says what it hears. usage: portal_aiortc.py rsa|ecdsa

A certificate of RSA is none of aiortc's own making, but browsers of old and OpenSSL's programs have such.
"""

import asyncio
import base64
import datetime
import fractions
import json
import os
import sys
import time

import aiohttp
import av
from aiortc import RTCCertificate, RTCConfiguration, RTCPeerConnection, RTCSessionDescription, rtcpeerconnection
from aiortc.mediastreams import MediaStreamTrack
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from voice_common import FRAME, RATE, obey, pcm, tell

# Of what it heard last: 0.1 s.
JUDGED = 5
# How often a guest who stays asks whether the portal is there.
PULSE = 0.5


class RsaCertificate(RTCCertificate):
    @classmethod
    def generateCertificate(cls):
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a guest")])
        now = datetime.datetime.now(datetime.timezone.utc)
        day = datetime.timedelta(days=1)
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - day).not_valid_after(now + day)
        return cls(key, builder.sign(key, hashes.SHA256()))

    def _create_ssl_context(self, srtp_profiles):
        context = super()._create_ssl_context(srtp_profiles)
        context.set_cipher_list(b"ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES128-GCM-SHA256")
        return context


class Tone(MediaStreamTrack):
    kind = "audio"

    def __init__(self, hertz):
        super().__init__()
        self.frame = pcm(hertz)
        self.sent = 0
        self.began = None

    async def recv(self):
        # It is asked for when there is a connection: what was to be said before would come all at once.
        self.began = self.began or time.monotonic()
        await asyncio.sleep(max(0, self.began + self.sent / RATE - time.monotonic()))
        frame = av.AudioFrame(format="s16", layout="stereo", samples=FRAME)
        frame.planes[0].update(self.frame)
        frame.sample_rate, frame.pts, frame.time_base = RATE, self.sent, fractions.Fraction(1, RATE)
        self.sent += FRAME
        return frame


class Guest:
    def __init__(self):
        self.connection = self.control = self.http = self.track = self.staying = None
        self.headers = {"Authorization": f"Bearer {os.environ['URO_PORTAL_TOKEN']}"}

    async def join(self, url, hertz):
        await self.connect(url, hertz)
        tell("joined")

    async def stay(self, url, hertz):
        """Joins, and again whenever the portal has begun anew, by what docs/portal.md says."""
        await self.connect(url, hertz, channel=True)
        self.staying = asyncio.create_task(self.watch(url, hertz))
        tell("joined")

    async def watch(self, url, hertz):
        while True:
            self.answered.clear()
            self.control.send(json.dumps({"type": "ping"}))
            await asyncio.sleep(PULSE)
            while not self.answered.is_set() and await self.known():
                await asyncio.sleep(PULSE)
            if not self.answered.is_set():
                before = self.connection
                await self.connect(url, hertz, channel=True)
                await before.close()

    async def known(self):
        """Whether the portal has this session, as far as it can be told."""
        fragment = {"Content-Type": "application/trickle-ice-sdpfrag"}
        try:
            async with self.http.patch(self.session, data="a=end-of-candidates", headers=fragment) as response:
                return response.status != 404
        except aiohttp.ClientError:
            return True

    def talk(self):
        """The channel for words. Says when it is welcome."""
        welcome, self.answered = asyncio.Event(), asyncio.Event()
        self.control = self.connection.createDataChannel("vsk-control")
        hello = {"type": "hello", "proto": 1, "role": "listener", "listens": "mix"}
        self.control.on("open", lambda: self.control.send(json.dumps(hello)))

        @self.control.on("message")
        def heard(message):
            said = json.loads(message)["type"]
            if said == "welcome":
                welcome.set()
            if said == "pong":
                self.answered.set()

        return welcome

    async def connect(self, url, hertz, channel=False):
        self.http = self.http or aiohttp.ClientSession(headers=self.headers)
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        connected = asyncio.Event()

        @self.connection.on("connectionstatechange")
        def changed():
            if self.connection.connectionState == "connected":
                connected.set()

        @self.connection.on("track")
        def on_track(track):
            self.track = track

        self.connection.addTrack(Tone(hertz))
        welcome = self.talk() if channel else connected
        await self.connection.setLocalDescription(await self.connection.createOffer())
        offer = self.connection.localDescription.sdp
        async with self.http.post(url, data=offer, headers={"Content-Type": "application/sdp"}) as response:
            answer = await response.text()
            assert response.status == 201, (response.status, answer)
            self.session = response.url.join(type(response.url)(response.headers["Location"]))
        await self.connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        await connected.wait()
        await welcome.wait()

    async def hear(self):
        heard = bytearray()
        for _ in range(JUDGED):
            frame = await self.track.recv()
            step = 2 * len(frame.layout.channels)
            whole = bytes(frame.planes[0])[: frame.samples * step]
            for at in range(0, len(whole), step):
                heard += whole[at : at + 2]
        tell("heard", samples=base64.b64encode(heard).decode())

    async def leave(self):
        async with self.http.delete(self.session) as response:
            assert response.status == 200, response.status
        tell("left")

    async def quit(self):
        if self.staying:
            self.staying.cancel()
        if self.http:
            await self.http.close()
        if self.connection:
            await self.connection.close()


async def main(certificate):
    if certificate == "rsa":
        rtcpeerconnection.RTCCertificate = RsaCertificate
    await obey(Guest())


asyncio.run(main(sys.argv[1]))
