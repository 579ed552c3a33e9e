"""What the voice clients in Python share: the lines that tell them what to do, tones, and what is heard."""

import asyncio
import base64
import json
import math
import struct
import sys
import threading

import nacl.secret

RATE, FRAME = 48_000, 960
# Half a second of what somebody said last is kept.
KEPT = 25
# Opus for 20 ms of silence, which ends what somebody says.
SILENCE = b"\xf8\xff\xfe"
# What ends a frame that is encrypted end to end.
ENCRYPTED = b"\xfa\xfa"
OPUS, PADDING, EXTENSION = 120, 0x20, 0x10


def tell(event, **data):
    print(json.dumps({"event": event, **data}), flush=True)


async def obey(judge):
    """Carries out the lines of stdin, {"do": name of a method, its arguments}, and ends with them, or with an error."""
    loop = asyncio.get_running_loop()
    try:
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            command = json.loads(line)
            try:
                await getattr(judge, command.pop("do"))(**command)
            except Exception as error:
                tell("failed", error=repr(error))
                raise
    finally:
        await judge.quit()


def pcm(hertz):
    """One frame of a tone, stereo. A whole number of its periods fits into it."""
    samples = (int(9_000 * math.sin(2 * math.pi * hertz * t / RATE)) for t in range(FRAME))
    return b"".join(struct.pack("<hh", sample, sample) for sample in samples)


def Tone(source, hertz, ms):
    """A source of PCM for a library's player: a tone, so long, or without an end."""
    frame = pcm(hertz)

    class Playing(source):
        left = math.inf if ms is None else ms // 20

        def read(self):
            self.left -= 1
            return frame if self.left >= 0 else b""

        def is_opus(self):
            return False

    return Playing()


def voice(packet, key):
    """Of a packet with XChaCha20-Poly1305: its SSRC and its frame, or nothing when it is no voice."""
    if len(packet) <= 12 or packet[1] & 0x7F != OPUS:
        return None
    clear = 12 + 4 * (packet[0] & 0x0F) + (4 if packet[0] & EXTENSION else 0)
    nonce = packet[-4:].ljust(nacl.secret.Aead.NONCE_SIZE, b"\0")
    try:
        body = nacl.secret.Aead(bytes(key)).decrypt(packet[clear:-4], packet[:clear], nonce)
    except nacl.exceptions.CryptoError:
        return None
    if packet[0] & EXTENSION:
        body = body[4 * struct.unpack_from(">H", packet, clear - 2)[0] :]
    frame = body[: -body[-1]] if packet[0] & PADDING else body
    return struct.unpack_from(">I", packet, 8)[0], frame


class Voices:
    """What was heard, by user."""

    def __init__(self):
        self.voices = {}
        self.understood = {}
        self.changed = threading.Condition()

    def hear(self, user, frame):
        if frame == SILENCE:
            return
        with self.changed:
            if not frame.endswith(ENCRYPTED):
                self.understood[str(user)] = self.understood.get(str(user), 0) + 1
                self.changed.notify_all()
            voice = self.voices.setdefault(str(user), {"frames": 0, "last": []})
            voice["frames"] += 1
            voice["last"] = (voice["last"] + [base64.b64encode(frame).decode()])[-KEPT:]

    def take(self):
        """By user: how many frames there were, and the last of them."""
        with self.changed:
            taken, self.voices = self.voices, {}
            self.understood.clear()
            return taken

    def wait(self, user, frames, seconds):
        """Until so many frames of somebody have been heard, and understood, since the last time."""
        with self.changed:
            return self.changed.wait_for(lambda: self.understood.get(user, 0) >= frames, seconds)
