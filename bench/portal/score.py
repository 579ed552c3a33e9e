"""How good speech sounds beside what was said. usage: score.py SAID.wav SAID.s16

It writes what was said as mono s16le at 48 kHz and says "said"; then it answers each line with the path of such a file by "score",
PESQ-WB of pieces of 10 s (mean and least), and zimtohrli's opinion. Both are from 1 to 5.
"""

import sys

import av
import numpy as np
import zimtohrli
from pesq import pesq

RATE, NARROW, PIECE = 48_000, 16_000, 10


def resampled(samples, rate, to):
    resampler = av.AudioResampler(format="s16", layout="mono", rate=to)
    frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="mono")
    frame.sample_rate = rate
    frames = resampler.resample(frame) + resampler.resample(None)
    return np.concatenate([frame.to_ndarray().reshape(-1) for frame in frames])


def read(path):
    with av.open(path) as container:
        stream = container.streams.audio[0]
        samples = np.concatenate([frame.to_ndarray().reshape(-1) for frame in container.decode(stream)])
        return resampled(samples.astype(np.int16), stream.rate, RATE)


def aligned(said, heard):
    """What was heard, moved to where it was said: by the best match of the first half minute."""
    size = 1 << 22
    spectrum = np.fft.rfft(heard[: 30 * RATE].astype(float), size) * np.conj(np.fft.rfft(said[: 30 * RATE].astype(float), size))
    lag = int(np.argmax(np.fft.irfft(spectrum, size)))
    lag = lag - size if lag > size // 2 else lag
    heard = heard[lag:] if lag >= 0 else np.concatenate([np.zeros(-lag, np.int16), heard])
    length = min(len(said), len(heard))
    return said[:length], heard[:length]


def score(whole, path):
    said, heard = aligned(whole, np.fromfile(path, dtype="<i2"))
    narrow_said, narrow_heard = resampled(said, RATE, NARROW), resampled(heard, RATE, NARROW)
    piece = PIECE * NARROW
    starts = range(0, min(len(narrow_said), len(narrow_heard)) - piece + 1, piece)
    opinions = [pesq(NARROW, narrow_said[at : at + piece], narrow_heard[at : at + piece], "wb") for at in starts]
    second = zimtohrli.mos_from_signals(said / 32768, heard / 32768)
    print(f"score {np.mean(opinions):.2f} {np.min(opinions):.2f} {second:.2f}", flush=True)


print("ready", flush=True)
said = read(sys.argv[1])
said.astype("<i2").tofile(sys.argv[2])
print("said", flush=True)
while (line := sys.stdin.readline().strip()) not in ("", "end"):
    score(said, line)
