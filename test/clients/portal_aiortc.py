"""aiortc as a guest of a portal: speaks in a tone by a track, and says what it hears. usage: portal_aiortc.py rsa|ecdsa

A certificate of RSA is none of aiortc's own making, but browsers of old and OpenSSL's programs have such.
"""

import asyncio
import base64
import datetime
import fractions
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
        self.began = time.monotonic()

    async def recv(self):
        await asyncio.sleep(max(0, self.began + self.sent / RATE - time.monotonic()))
        frame = av.AudioFrame(format="s16", layout="stereo", samples=FRAME)
        frame.planes[0].update(self.frame)
        frame.sample_rate, frame.pts, frame.time_base = RATE, self.sent, fractions.Fraction(1, RATE)
        self.sent += FRAME
        return frame


class Guest:
    def __init__(self):
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.http = self.track = None
        self.headers = {"Authorization": f"Bearer {os.environ['URO_PORTAL_TOKEN']}"}

    async def join(self, url, hertz):
        self.http = aiohttp.ClientSession(headers=self.headers)
        connected = asyncio.Event()

        @self.connection.on("connectionstatechange")
        def changed():
            if self.connection.connectionState == "connected":
                connected.set()

        @self.connection.on("track")
        def on_track(track):
            self.track = track

        self.connection.addTrack(Tone(hertz))
        await self.connection.setLocalDescription(await self.connection.createOffer())
        offer = self.connection.localDescription.sdp
        async with self.http.post(url, data=offer, headers={"Content-Type": "application/sdp"}) as response:
            answer = await response.text()
            assert response.status == 201, (response.status, answer)
            self.session = response.url.join(type(response.url)(response.headers["Location"]))
        await self.connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        await connected.wait()
        tell("joined")

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
        if self.http:
            await self.http.close()
        await self.connection.close()


async def main(certificate):
    if certificate == "rsa":
        rtcpeerconnection.RTCCertificate = RsaCertificate
    await obey(Guest())


asyncio.run(main(sys.argv[1]))
