"""A recording for those who show it: RTP payloads of VP8 by aiortc's encoder, 1280x720 at 30 pictures a second, or JPEGs, 640x360 at 15.

usage: record.py FILE SECONDS BITS   (0: JPEG). It says how many bits a second there are.
"""

import fractions
import struct
import sys
from random import Random

from aiortc.codecs import vpx
from av import CodecContext, VideoFrame

RATE = 30


def pictures(count, width, height):
    """Blocks of grey that go by, each row of them at its own pace."""
    random = Random(7)
    rows = [b"".join(bytes([random.randrange(16, 236)]) * 16 for _ in range(width // 8)) for _ in range(-(-height // 16))]
    for number in range(count):
        frame = VideoFrame(width, height, "yuvj420p" if height < 720 else "yuv420p")
        at = [(3 + index % 5) * number % width for index in range(len(rows))]
        luma, *chroma = frame.planes
        luma.update(b"".join(row[start : start + width] * 16 for row, start in zip(rows, at))[: luma.buffer_size])
        for plane in chroma:
            plane.update(bytes([128]) * plane.buffer_size)
        frame.pts, frame.time_base = number * 90_000 // RATE, fractions.Fraction(1, 90_000)
        yield number, frame


def vp8(seconds, bits):
    vpx.MAX_BITRATE = bits
    encoder = vpx.Vp8Encoder()
    encoder.target_bitrate = bits
    for number, frame in pictures(seconds * RATE, 1280, 720):
        # Who comes late waits for the next keyframe: for a second at most.
        yield encoder.encode(frame, force_keyframe=number % RATE == 0)[0]


def jpeg(seconds):
    encoder = CodecContext.create("mjpeg", "w")
    encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = 640, 360, "yuvj420p", fractions.Fraction(1, 90_000)
    encoder.options = {"huffman": "default"}
    encoder.qmin = encoder.qmax = 6
    for _, frame in pictures(seconds * 15, 640, 360):
        yield [bytes(packet) for packet in encoder.encode(frame)]


def main(path, seconds, bits):
    size = 0
    with open(path, "wb") as file:
        for payloads in vp8(seconds, bits) if bits else jpeg(seconds):
            file.write(struct.pack(">H", len(payloads)))
            for payload in payloads:
                file.write(struct.pack(">H", len(payload)) + payload)
                size += len(payload)
    print(size * 8 // seconds)


main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
