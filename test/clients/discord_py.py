"""discord.py against discord-sim: log in, see the guild, post, edit and read a message, set a presence, resume.

Told by the environment: DISCORD_API, DISCORD_GATEWAY, DISCORD_TOKEN, DISCORD_GUILD_ID, DISCORD_CHANNEL_ID, and
DISCORD_COMPRESS (zstd-stream or zlib-stream). Prints what it sees as JSON lines, and ends after a message "goodbye" from
somebody else. The test (crates/sim/tests/clients.rs) makes it reconnect before that.
"""

import asyncio
import json
import os
import sys

if os.environ["DISCORD_COMPRESS"] == "zlib-stream":
    # What discord.py does where zstandard is not installed.
    sys.modules["zstandard"] = None

import discord
import yarl
from discord import gateway, http


def tell(event, **data):
    print(json.dumps({"event": event, **data}), flush=True)


class Judge(discord.Client):
    failure = None

    async def on_ready(self):
        try:
            await self.use_discord()
        except Exception as error:
            self.failure = error
            await self.close()

    async def use_discord(self):
        guild = self.get_guild(int(os.environ["DISCORD_GUILD_ID"]))
        tell(
            "ready",
            user=str(self.user.id),
            guild=guild.name,
            channels={channel.name: str(channel.type) for channel in guild.channels},
            me=guild.me.name,
        )
        channel = guild.get_channel(int(os.environ["DISCORD_CHANNEL_ID"]))
        embed = discord.Embed(title="A title", description="by discord.py", color=0x58_65F2)
        message = await channel.send("first words", embed=embed, file=discord.File(__file__, "judge.py"))
        tell("posted", id=str(message.id))
        await message.edit(content="second words")
        read = await channel.fetch_message(message.id)
        tell(
            "read",
            id=str(read.id),
            content=read.content,
            edited=read.edited_at is not None,
            embed=read.embeds[0].title,
            file=(await read.attachments[0].read()).decode() == open(__file__).read(),
        )
        history = [message.id async for message in channel.history(limit=5)]
        tell("history", ids=[str(id) for id in history])
        passing = await channel.send("passing words")
        await passing.delete()
        try:
            await channel.send("x" * 2001)
        except discord.HTTPException as error:
            tell("refused", status=error.status, code=error.code, text=error.text)
        await self.change_presence(status=discord.Status.idle, activity=discord.Game("with discord.py"))
        tell("waiting")

    async def on_message(self, message):
        tell("message", author=message.author.name, content=message.content)
        if message.author != self.user and message.content == "goodbye":
            await self.close()

    async def on_resumed(self):
        tell("resumed")


async def main():
    http.Route.BASE = os.environ["DISCORD_API"]
    gateway.DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(os.environ["DISCORD_GATEWAY"])
    intents = discord.Intents.all()
    async with Judge(intents=intents) as judge:
        await judge.start(os.environ["DISCORD_TOKEN"])
    if judge.failure:
        raise judge.failure
    tell("closed")


discord.utils.setup_logging()
asyncio.run(main())
