"""What bench/notify.exs asks for, as a user of discord.py would write it. See bench/program.ex for when it says what."""

import asyncio
import os
import sys
import traceback

import discord
import yarl
from discord import gateway, http

IDS = [int(id) for id in os.environ["DISCORD_CHANNELS"].split(",")]
COUNT = int(os.environ["MESSAGES"])


class Bot(discord.Client):
    async def on_ready(self):
        channels = [self.get_channel(id) for id in IDS]
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        await asyncio.gather(*(self.send_all(channel, first) for first, channel in enumerate(channels)))
        print("sent", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        await self.close()

    # Or else it would go on without having sent anything.
    async def on_error(self, event, *args):
        traceback.print_exc()
        await self.close()

    async def send_all(self, channel, first):
        for n in range(first, COUNT, len(IDS)):
            await channel.send(f"Notification {n}: a new world is open")


async def main():
    http.Route.BASE = os.environ["DISCORD_API"]
    gateway.DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(os.environ["DISCORD_GATEWAY"])
    async with Bot(intents=discord.Intents(guilds=True)) as bot:
        await bot.start(os.environ["DISCORD_TOKEN"])


discord.utils.setup_logging()
asyncio.run(main())
