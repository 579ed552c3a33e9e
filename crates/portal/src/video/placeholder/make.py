"""Makes the placeholder: one picture of 640x360, dark, with a camera that is crossed out and the words NO PICTURE, as keyframes without anything before or after them.

usage: make.py FOLDER   writes h264-0, h264-1 (Annex B) and vp8. It wants PyAV with libx264 and libvpx.
"""

import fractions
import pathlib
import sys

import av

WIDTH, HEIGHT = 640, 360
GROUND, SIGN = 34, 150

# Five columns, seven rows; a bit is a pixel.
LETTERS = {
    "N": (17, 25, 21, 21, 19, 17, 17),
    "O": (14, 17, 17, 17, 17, 17, 14),
    "P": (30, 17, 17, 30, 16, 16, 16),
    "I": (14, 4, 4, 4, 4, 4, 14),
    "C": (14, 17, 16, 16, 16, 17, 14),
    "T": (31, 4, 4, 4, 4, 4, 4),
    "U": (17, 17, 17, 17, 17, 17, 14),
    "R": (30, 17, 17, 30, 20, 18, 17),
    "E": (31, 16, 16, 30, 16, 16, 31),
    " ": (0, 0, 0, 0, 0, 0, 0),
}


def luma():
    rows = [bytearray([GROUND]) * WIDTH for _ in range(HEIGHT)]

    def fill(left, top, width, height, value=SIGN):
        for row in rows[top : top + height]:
            row[left : left + width] = bytes([value]) * width

    # The camera's body and its lens, and a stroke through both.
    fill(256, 96, 88, 72)
    for step in range(32):
        fill(352 + step, 124 - step // 2, 1, 16 + step)
    for y in range(76, 188):
        at = 240 + (y - 76) * 160 // 112
        for shift, value in ((-8, GROUND), (0, SIGN), (8, GROUND)):
            fill(at + shift, y, 8, 1, value)
    text, size = "NO PICTURE", 6
    left = (WIDTH - len(text) * 6 * size) // 2
    for place, letter in enumerate(text):
        for y, bits in enumerate(LETTERS[letter]):
            for x in range(5):
                if bits & 16 >> x:
                    fill(left + (place * 6 + x) * size, 228 + y * size, size, size)
    return b"".join(rows)


def encode(codec, options):
    """Two pictures, each a keyframe."""
    encoder = av.CodecContext.create(codec, "w")
    encoder.width, encoder.height, encoder.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    encoder.time_base, encoder.framerate = fractions.Fraction(1, 1), fractions.Fraction(1, 1)
    encoder.gop_size, encoder.max_b_frames, encoder.thread_count = 1, 0, 1
    encoder.options = options
    packets = []
    for number in range(2):
        frame = av.VideoFrame(WIDTH, HEIGHT, "yuv420p")
        planes = luma(), bytes([128]) * (WIDTH * HEIGHT // 4), bytes([128]) * (WIDTH * HEIGHT // 4)
        for plane, data, width in zip(frame.planes, planes, (WIDTH, WIDTH // 2, WIDTH // 2)):
            lines = (data[at : at + width].ljust(plane.line_size, b"\0") for at in range(0, len(data), width))
            plane.update(b"".join(lines))
        frame.pts = number
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    return [bytes(packet) for packet in packets]


def units(stream):
    """The NAL units of an Annex B stream."""
    return [unit.rstrip(b"\0") for unit in stream.split(b"\0\0\1")[1:]]


def main(folder):
    # Constrained baseline. Of two IDR pictures in a row each has another idr_pic_id, which the encoder sees to.
    h264 = encode("libx264", {"profile": "baseline", "level": "3.0", "preset": "veryslow", "tune": "zerolatency", "qp": "26"})
    for number, stream in enumerate(h264):
        # Parameter sets and the slice: no SEI, which names the encoder.
        kept = [unit for unit in units(stream) if unit[0] & 31 in (5, 7, 8)]
        (folder / f"h264-{number}").write_bytes(b"".join(b"\0\0\0\1" + unit for unit in kept))
    (folder / "vp8").write_bytes(encode("libvpx", {"crf": "30", "b": "2M", "deadline": "best", "lag-in-frames": "0"})[0])


main(pathlib.Path(sys.argv[1]))
