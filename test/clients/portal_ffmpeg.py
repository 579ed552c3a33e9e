"""FFmpeg's own WHIP muxer, as PyAV brings it, at a portal: shows bars that move, in H264."""

import asyncio
import datetime
import tempfile
import threading
import time

import av
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from voice_common import obey, tell

WIDTH, HEIGHT, RATE = 320, 240, 15
# Pictures for which the bars stand still.
STILL = 4


def certificate(folder):
    """Of P-256. FFmpeg with GnuTLS makes itself one of P-224, which WebRTC does not know."""
    key = ec.generate_private_key(ec.SECP256R1())
    who = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ffmpeg")])
    now, day = datetime.datetime.now(datetime.timezone.utc), datetime.timedelta(days=1)
    made = x509.CertificateBuilder().issuer_name(who).subject_name(who).public_key(key.public_key())
    made = made.serial_number(x509.random_serial_number()).not_valid_before(now - day).not_valid_after(now + day)
    pem = serialization.Encoding.PEM
    files = {
        "cert_file": made.sign(key, hashes.SHA256()).public_bytes(pem),
        "key_file": key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    }
    for name, content in files.items():
        with open(f"{folder}/{name}", "wb") as file:
            file.write(content)
    return {name: f"{folder}/{name}" for name in files}


def picture(colours, turn):
    width = WIDTH // len(colours)
    row = b"".join(bytes(colours[(at + turn) % len(colours)]) * width for at in range(len(colours)))
    frame = av.VideoFrame(WIDTH, HEIGHT, "rgb24")
    plane = frame.planes[0]
    plane.update(row.ljust(plane.line_size, b"\0") * HEIGHT)
    return frame.reformat(format="yuv420p")


class Publisher:
    def __init__(self):
        self.ended = threading.Event()
        self.thread = None

    async def show(self, url, token, colours):
        begun = asyncio.get_running_loop().create_future()
        self.thread = threading.Thread(target=self.run, args=(url, token, colours, begun), daemon=True)
        self.thread.start()
        await begun
        tell("shown")

    def run(self, url, token, colours, begun):
        loop = begun.get_loop()
        try:
            with tempfile.TemporaryDirectory() as folder:
                options = {"authorization": token, "strict": "experimental", **certificate(folder)}
                with av.open(url, "w", format="whip", options=options) as container:
                    self.publish(container, colours, lambda: loop.call_soon_threadsafe(begun.set_result, None))
        except Exception as error:
            if begun.done():
                tell("failed", error=repr(error))
            else:
                loop.call_soon_threadsafe(begun.set_exception, error)

    def publish(self, container, colours, begin):
        # WebRTC has no B-frames; who comes late waits for a keyframe for a second at most.
        options = {"preset": "ultrafast", "tune": "zerolatency", "profile": "baseline", "bf": "0", "g": str(RATE)}
        stream = container.add_stream("libx264", rate=RATE, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        # Now it asks, and connects.
        container.start_encoding()
        begin()
        began, sent = time.monotonic(), 0
        while not self.ended.wait(max(0, began + sent / RATE - time.monotonic())):
            frame = picture(colours, sent // STILL)
            frame.pts = sent
            container.mux(stream.encode(frame))
            sent += 1

    async def quit(self):
        self.ended.set()
        if self.thread:
            await asyncio.to_thread(self.thread.join, 10)


asyncio.run(obey(Publisher()))
