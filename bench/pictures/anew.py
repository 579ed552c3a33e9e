"""JPEGs of a recording (record.py), 15 a second at their times, decoded and encoded anew.

usage: anew.py FILE CODEC THREADS SECONDS   (libvpx, libx264). It says what that took, and how many bits a second came out.
"""

import fractions
import itertools
import resource
import struct
import sys
import time

from av import CodecContext, Packet

RATE = 15
OPTIONS = {
    # As WebRTC sets it for one that is seen live.
    "libvpx": {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0", "error-resilient": "1"},
    "libx264": {"preset": "ultrafast", "tune": "zerolatency", "profile": "baseline"},
}


def pictures(path):
    with open(path, "rb") as file:
        while count := file.read(2):
            yield b"".join(file.read(*struct.unpack(">H", file.read(2))) for _ in range(*struct.unpack(">H", count)))


def cpu():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main(path, codec, threads, seconds):
    decoder = CodecContext.create("mjpeg", "r")
    decoder.thread_count = 1
    encoder = CodecContext.create(codec, "w")
    encoder.width, encoder.height, encoder.pix_fmt = 640, 360, "yuv420p"
    encoder.time_base, encoder.framerate = fractions.Fraction(1, RATE), RATE
    encoder.bit_rate, encoder.gop_size, encoder.thread_count = 1_000_000, 10 * RATE, threads
    encoder.options = OPTIONS[codec]
    delays, decoding, bits = [], 0.0, 0
    began, used = time.monotonic(), cpu()
    for number, jpeg in enumerate(itertools.islice(itertools.cycle(list(pictures(path))), seconds * RATE)):
        time.sleep(max(0.0, began + number / RATE - time.monotonic()))
        whole = time.monotonic()
        (frame,) = decoder.decode(Packet(jpeg))
        decoding += time.monotonic() - whole
        frame = frame.reformat(format="yuv420p")
        frame.pts = number
        bits += sum(packet.size * 8 for packet in encoder.encode(frame))
        delays.append(time.monotonic() - whole)
    took, used = time.monotonic() - began, cpu() - used
    delays.sort()
    p50, p95 = (round(1e6 * delays[len(delays) * share // 100]) for share in (50, 95))
    print(
        f"anew took_us={took * 1e6:.0f} cpu_us={used * 1e6:.0f} decode_us={decoding * 1e6 / len(delays):.0f} p50_us={p50} p95_us={p95} bits={bits / took:.0f}",
        flush=True,
    )


print("ready", flush=True)
main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
sys.stdin.readline()
