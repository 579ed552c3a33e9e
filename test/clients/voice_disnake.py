"""disnake, with Discord's own DAVE library, in a voice channel of discord-sim.

Told by the environment: DISCORD_API, DISCORD_TOKEN, DISCORD_GUILD_ID, and SSL_CERT_FILE. Told by lines of JSON on stdin
(crates/sim/tests/voice_clients.rs), which voice_common.py reads. disnake sends, and does not hear: its packets are taken from its
socket, and opened with its keys.
"""

import asyncio
import logging
import os

import dave
import disnake
import disnake.voice_client
from disnake import http

from voice_common import SILENCE, Tone, Voices, obey, tell, voice

http.Route.BASE = os.environ["DISCORD_API"]


class Socket(disnake.voice_client.DiscordVoiceWebSocket):
    """The voice gateway, which says whose SSRC is whose."""

    async def _hook(self, _socket, message):
        if message["op"] == self.SPEAKING:
            self._connection.users[message["d"]["ssrc"]] = int(message["d"]["user_id"])


class Keys(disnake.voice_client.DaveState):
    """DAVE, with decryption."""

    def __init__(self, call):
        super().__init__(call)
        self.decryptors = {}

    async def prepare_transition(self, transition, version):
        # Others may be sooner with the new keys than we are; a decryptor keeps the old ones for a while.
        if version and self._session.has_established_group():
            for user in self._recognized_users - {self._self_id}:
                if ratchet := self._session.get_key_ratchet(str(user)):
                    self.decryptors.setdefault(user, dave.Decryptor()).transition_to_key_ratchet(ratchet)
        await super().prepare_transition(transition, version)


class Call(disnake.VoiceClient):
    """A call that is heard."""

    def __init__(self, client, channel):
        super().__init__(client, channel)
        self.dave = Keys(self)
        self.users, self.voices = {}, Voices()
        self.reader = None

    async def connect(self, **how):
        await self.stop_reading()
        await super().connect(**how)
        self.reader = self.loop.create_task(self.read())

    async def stop_reading(self):
        if self.reader:
            self.reader.cancel()
            await asyncio.wait([self.reader])

    async def read(self):
        try:
            while True:
                self.arrived(await self.loop.sock_recv(self.socket, 2048))
        except Exception as error:
            tell("failed", error=repr(error))
            raise

    def arrived(self, packet):
        heard = voice(packet, self.secret_key)
        if heard is None or (user := self.users.get(heard[0])) is None:
            return
        frame = heard[1]
        if frame != SILENCE and user in self.dave.decryptors:
            frame = self.dave.decryptors[user].decrypt(dave.MediaType.audio, frame) or frame
        self.voices.hear(user, frame)


class Judge(disnake.Client):
    voice = None

    async def on_ready(self):
        tell("ready", user=str(self.user.id))
        self.loop.create_task(obey(self))

    async def join(self, channel):
        guild = self.get_guild(int(os.environ["DISCORD_GUILD_ID"]))
        self.voice = await guild.get_channel(int(channel)).connect(timeout=30, cls=Call)
        tell("joined", mode=self.voice.mode)

    async def leave(self):
        await self.voice.stop_reading()
        await self.voice.disconnect(force=True)
        tell("left")

    async def speak(self, hertz, ms=None):
        """A tone, so long; or on and on, while other lines are read."""
        done = asyncio.Event()
        self.voice.play(
            Tone(disnake.AudioSource, hertz, ms),
            after=lambda _error: self.loop.call_soon_threadsafe(done.set),
        )
        if ms is None:
            tell("speaking")
            return
        await done.wait()
        tell("spoken")

    async def code(self):
        tell("code", code=self.voice.dave.voice_privacy_code)

    async def heard(self):
        tell("heard", voices=self.voice.voices.take())

    async def hears(self, user, frames):
        heard = self.loop.run_in_executor(None, self.voice.voices.wait, user, frames, 30)
        tell("hears" if await heard else "does not hear")

    async def quit(self):
        await self.close()


if __name__ == "__main__":
    disnake.voice_client.DiscordVoiceWebSocket = Socket
    logging.basicConfig(level=logging.INFO)
    # It tries the newest keys first, and says so when a frame still has the old ones.
    logging.getLogger("dave").setLevel(logging.CRITICAL)
    Judge(intents=disnake.Intents.all()).run(os.environ["DISCORD_TOKEN"])
