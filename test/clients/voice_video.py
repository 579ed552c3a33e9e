"""Video by others' hands, in a voice channel of discord-sim: Discord's own DAVE library through disnake, aiortc's packets and
RTCP, FFmpeg's codecs through PyAV.

Neither disnake nor Discord lets a bot send video: the voice gateway's messages about it are added here. Told by the environment and
by lines of JSON on stdin, as voice_disnake.py is.
"""

import asyncio
import base64
import logging
import os
import random
import struct
import time

import av
import dave
import disnake
import disnake.voice_client
import nacl.secret
from aiortc.codecs.h264 import H264Encoder, h264_depayload
from aiortc.codecs.vpx import Vp8Encoder, vp8_depayload
from aiortc.jitterbuffer import JitterBuffer
from aiortc.rtcrtpreceiver import NackGenerator
from aiortc.rtp import (
    RtcpPacket,
    RtcpPsfbPacket,
    RtcpRrPacket,
    RtcpRtpfbPacket,
    RtcpSrPacket,
    RtpPacket,
    is_rtcp,
    unwrap_rtx,
    wrap_rtx,
)
from disnake import http

from voice_common import obey, tell
from voice_disnake import Keys

http.Route.BASE = os.environ["DISCORD_API"]

WIDTH, HEIGHT = 320, 240
# Payload types of ours, which are not those of the session that is tested.
TYPES = {"VP8": (98, 99), "H264": (100, 101)}
CODECS = {kind: codec for codec, types in TYPES.items() for kind in types}
LIBRARIES = {"H264": ("libx264", "h264", dave.Codec.h264), "VP8": ("libvpx", "vp8", dave.Codec.vp8)}
OPTIONS = {
    "H264": {"preset": "ultrafast", "tune": "zerolatency", "profile": "baseline", "x264-params": "slices=2:aud=1"},
    "VP8": {"deadline": "realtime", "cpu-used": "8"},
}
NTP_EPOCH = 2_208_988_800


def shade(number):
    """How bright the right half of a picture is, by which it is known; much brighter or darker than that before."""
    return 40 + 10 * (number * 7 % 18)


def pictures(codec, count):
    """Encoded frames, each with whether it is a keyframe. Half of each picture is noise, so that a frame takes many packets."""
    encoder = av.CodecContext.create(LIBRARIES[codec][0], "w")
    encoder.width, encoder.height, encoder.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    encoder.framerate, encoder.bit_rate, encoder.gop_size = 30, 2_000_000, 15
    encoder.options = OPTIONS[codec]
    noise, frames = random.Random(1), []
    for number in range(count):
        picture = av.VideoFrame(WIDTH, HEIGHT, "yuv420p")
        for plane, fill in zip(picture.planes, (shade(number), 128, 128)):
            line = bytes([fill]) * plane.line_size
            noisy = WIDTH // 2 if plane.width == WIDTH else 0
            lines = (noise.randbytes(noisy) + line[noisy:] for _ in range(plane.height))
            plane.update(b"".join(lines))
        picture.pts = number
        frames += [(bytes(packet), packet.is_keyframe) for packet in encoder.encode(picture)]
    return frames + [(bytes(packet), packet.is_keyframe) for packet in encoder.encode(None)]


def shades(codec, frames):
    """How bright the right quarter of each picture is."""
    decoder, seen = av.CodecContext.create(LIBRARIES[codec][1], "r"), []
    pictures = [p for frame in frames for p in decoder.decode(av.Packet(frame))] + decoder.decode(None)
    for picture in pictures:
        plane = picture.planes[0]
        data, start = bytes(plane), WIDTH * 3 // 4
        lines = [data[y * plane.line_size + start : y * plane.line_size + WIDTH] for y in range(HEIGHT)]
        seen.append(sum(map(sum, lines)) / (HEIGHT * (WIDTH - start)))
    return seen


class Socket(disnake.voice_client.DiscordVoiceWebSocket):
    """The voice gateway, with video."""

    async def send(self, op, data):
        await self.send_as_json({"op": op, "d": data})

    async def send_as_json(self, data):
        if data["op"] == self.IDENTIFY:
            data["d"] |= {"video": True, "streams": [{"type": "video", "rid": "100", "quality": 100}]}
        if data["op"] == self.SELECT_PROTOCOL:
            opus = {"name": "opus", "type": "audio", "priority": 1000, "payload_type": 120}
            data["d"]["codecs"] = [opus] + [
                {"name": name, "type": "video", "priority": 1000 * place, "payload_type": own, "rtx_payload_type": rtx}
                for place, (name, (own, rtx)) in enumerate(TYPES.items(), 1)
            ]
        await super().send_as_json(data)

    async def received_message(self, message):
        call, data = self._connection, message.get("d")
        if message["op"] == self.READY:
            call.stream = data["streams"][0]
        if message["op"] == 12:
            for stream in data["streams"]:
                call.streams[stream["ssrc"]] = Stream(data["user_id"], stream["ssrc"])
                call.rtx[stream["rtx_ssrc"]] = stream["ssrc"]
            tell("video", user=data["user_id"], streams=data["streams"])
        await super().received_message(message)


class Stream:
    """Somebody's video."""

    def __init__(self, user, ssrc):
        self.user, self.ssrc = int(user), ssrc
        self.buffer = JitterBuffer(1024, is_video=True)
        self.missing = NackGenerator()
        self.kinds = {}
        self.asked = 0
        self.lose, self.packets, self.again = 0, 0, 0
        self.frames, self.failed = [], 0
        self.decoders, self.decoded, self.colour = {}, 0, None

    def decode(self):
        """Decodes what has come since: the colour in the middle of the newest picture."""
        frames = self.frames[self.decoded :]
        self.decoded += len(frames)
        for codec, _, frame in frames:
            if codec not in self.decoders:
                self.decoders[codec] = av.CodecContext.create(LIBRARIES[codec][1], "r")
            for picture in self.decoders[codec].decode(av.Packet(frame)):
                plane = picture.reformat(format="rgb24").planes[0]
                middle = picture.height // 2 * plane.line_size + picture.width // 2 * 3
                self.colour = list(bytes(plane)[middle : middle + 3])


class Call(disnake.VoiceClient):
    """A call with video in it."""

    def __init__(self, client, channel):
        super().__init__(client, channel)
        self.dave = Keys(self)
        self.stream, self.streams, self.rtx, self.reports = None, {}, {}, []
        self.lose, self.video_sequence, self.rtx_sequence = 0, random.randrange(65536), 0
        self.sent, self.nacks, self.keyframes_wanted = {}, 0, 0
        self.reader = None

    async def connect(self, **how):
        await super().connect(**how)
        self.reader = self.loop.create_task(self.read())

    def seal(self, packet, clear):
        header = bytes(packet[:clear])
        nonce, padded = self._get_nonce(nacl.secret.Aead.NONCE_SIZE)
        box = nacl.secret.Aead(bytes(self.secret_key))
        sealed = box.encrypt(bytes(packet[clear:]), aad=header, nonce=padded).ciphertext
        self.socket.sendto(header + sealed + nonce, (self.endpoint_ip, self.voice_port))

    def open(self, datagram):
        clear = 8
        if not is_rtcp(datagram):
            clear = 12 + 4 * (datagram[0] & 15) + (4 if datagram[0] & 16 else 0)
        box = nacl.secret.Aead(bytes(self.secret_key))
        nonce = datagram[-4:].ljust(nacl.secret.Aead.NONCE_SIZE, b"\0")
        return datagram[:clear] + box.decrypt(datagram[clear:-4], aad=datagram[:clear], nonce=nonce)

    async def read(self):
        try:
            while True:
                datagram = await self.loop.sock_recv(self.socket, 2048)
                if len(datagram) <= 8:
                    continue
                packet = self.open(datagram)
                if is_rtcp(packet):
                    for report in RtcpPacket.parse(packet):
                        self.reported(report)
                elif packet[1] & 0x7F in CODECS:
                    self.arrived(RtpPacket.parse(packet))
        except Exception as error:
            tell("failed", error=repr(error))
            raise

    def arrived(self, packet):
        stream = self.streams[self.rtx.get(packet.ssrc, packet.ssrc)]
        codec = CODECS[packet.payload_type]
        if packet.ssrc in self.rtx:
            packet = unwrap_rtx(packet, TYPES[codec][0], stream.ssrc)
            stream.again += 1
        else:
            stream.packets += 1
            if self.lose and stream.packets % self.lose == 0:
                return
        stream.missing.add(packet)
        if stream.missing.missing and time.monotonic() > stream.asked + 0.05:
            stream.asked = time.monotonic()
            self.feedback(RtcpRtpfbPacket(1, self.ssrc, stream.ssrc, sorted(stream.missing.missing)))
        packet._data = (h264_depayload if codec == "H264" else vp8_depayload)(packet.payload)
        stream.kinds[packet.timestamp] = codec
        _, frame = stream.buffer.add(packet)
        while frame:
            opened = self.dave.decryptors[stream.user].decrypt(dave.MediaType.video, frame.data)
            if opened is None:
                stream.failed += 1
            else:
                stream.frames.append((stream.kinds.pop(frame.timestamp), frame.timestamp, opened))
            frame = stream.buffer._remove_frame(0)

    def feedback(self, packet):
        self.seal(bytes(RtcpRrPacket(self.ssrc)) + bytes(packet), 8)

    def reported(self, packet):
        own = self.stream["ssrc"]
        if isinstance(packet, RtcpSrPacket):
            info = packet.sender_info
            off = abs(time.time() + NTP_EPOCH - info.ntp_timestamp / 2**32)
            self.reports.append({"ssrc": packet.ssrc, "off": off, "packets": info.packet_count, "time": info.rtp_timestamp})
        elif isinstance(packet, RtcpPsfbPacket) and packet.media_ssrc == own:
            self.keyframes_wanted += 1
        elif isinstance(packet, RtcpRtpfbPacket) and packet.media_ssrc == own:
            self.nacks += 1
            for sequence in packet.lost:
                self.rtx_sequence = (self.rtx_sequence + 1) % 65536
                lost = self.sent[sequence % 65536]
                kind = TYPES[CODECS[lost.payload_type]][1]
                self.send(wrap_rtx(lost, kind, self.rtx_sequence, self.stream["rtx_ssrc"]))

    def send(self, packet):
        self.seal(packet.serialize(), 12)

    async def film(self, codec, frames, lose):
        stream = {**self.stream, "active": True, "max_bitrate": 2_000_000, "max_framerate": 30}
        stream["max_resolution"] = {"type": "fixed", "width": WIDTH, "height": HEIGHT}
        ssrcs = {"audio_ssrc": self.ssrc, "video_ssrc": stream["ssrc"], "rtx_ssrc": stream["rtx_ssrc"]}
        await self.ws.send(12, {**ssrcs, "streams": [stream]})
        await asyncio.sleep(0.2)
        self.dave._encryptor.assign_ssrc_to_codec(stream["ssrc"], LIBRARIES[codec][2])
        count = 0
        for number, frame in enumerate(frames):
            sealed = self.dave._encryptor.encrypt(dave.MediaType.video, stream["ssrc"], frame)
            if codec == "H264":
                payloads = H264Encoder._packetize(H264Encoder._split_bitstream(sealed))
            else:
                payloads = Vp8Encoder._packetize(sealed, number % 2**15)
            for place, payload in enumerate(payloads):
                self.video_sequence = (self.video_sequence + 1) % 65536
                marker = place == len(payloads) - 1
                packet = RtpPacket(TYPES[codec][0], int(marker), self.video_sequence, number * 3000, stream["ssrc"], payload)
                self.sent[self.video_sequence] = packet
                count += 1
                if not lose or count % lose:
                    self.send(packet)
            await asyncio.sleep(1 / 30)
        # What was lost is asked for again.
        await asyncio.sleep(1)
        await self.ws.send(12, {"audio_ssrc": self.ssrc, "video_ssrc": 0, "rtx_ssrc": 0, "streams": []})


class Judge(disnake.Client):
    call = None

    async def on_ready(self):
        tell("ready", user=str(self.user.id))
        self.loop.create_task(obey(self))

    async def join(self, channel):
        guild = self.get_guild(int(os.environ["DISCORD_GUILD_ID"]))
        self.call = await guild.get_channel(int(channel)).connect(timeout=30, cls=Call)
        tell("joined", mode=self.call.mode, ssrc=self.call.stream["ssrc"])

    async def keys(self):
        """Waits for those of everybody."""
        while not (self.call.dave.can_encrypt() and self.call.dave.decryptors):
            await asyncio.sleep(0.02)
        tell("keys", code=self.call.dave.voice_privacy_code)

    async def encode(self, codec, frames):
        encoded = await asyncio.to_thread(pictures, codec, frames)
        tell("encoded", frames=[[base64.b64encode(frame).decode(), key] for frame, key in encoded])

    async def decode(self, codec, frames):
        frames = [base64.b64decode(frame) for frame in frames]
        tell("decoded", shades=await asyncio.to_thread(shades, codec, frames))

    async def film(self, codec, frames, lose):
        before = self.call.nacks
        await self.call.film(codec, [base64.b64decode(frame) for frame in frames], lose)
        tell("filmed", nacks=self.call.nacks - before, keyframes_wanted=self.call.keyframes_wanted)

    async def lose(self, every):
        """From now on, one of so many packets that arrive is taken for lost."""
        self.call.lose = every
        tell("losing")

    async def keyframe(self):
        for stream in self.call.streams.values():
            self.call.feedback(RtcpPsfbPacket(1, self.call.ssrc, stream.ssrc))
        tell("asked")

    async def seen(self):
        streams = [
            {
                "user": str(stream.user),
                "packets": stream.packets,
                "again": stream.again,
                "failed": stream.failed,
                "frames": len(stream.frames),
            }
            for stream in self.call.streams.values()
        ]
        tell("seen", streams=streams, reports=self.call.reports)

    async def colours(self):
        """Of each who sends, in the middle of his newest picture; null before there is one."""
        streams = list(self.call.streams.values())
        for stream in streams:
            await asyncio.to_thread(stream.decode)
        tell("colours", colours=[stream.colour for stream in streams], failed=[stream.failed for stream in streams])

    async def frames(self):
        """Those of all who send."""
        frames = [frame for stream in self.call.streams.values() for frame in stream.frames]
        tell("frames", frames=[[codec, at, base64.b64encode(frame).decode()] for codec, at, frame in frames])

    async def quit(self):
        await self.close()


disnake.voice_client.DiscordVoiceWebSocket = Socket
logging.basicConfig(level=logging.INFO)
Judge(intents=disnake.Intents.all()).run(os.environ["DISCORD_TOKEN"])
