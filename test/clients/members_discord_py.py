"""discord.py against discord-sim: pages of members, roles made, given, moved and taken, nicknames, bans, the audit log.

Told by the environment: DISCORD_API, DISCORD_GATEWAY, DISCORD_TOKEN, DISCORD_GUILD_ID. Prints what it sees as JSON lines, and ends by itself.
The test is in crates/sim/tests/clients.rs.
"""

import asyncio
import json
import os
from collections import Counter

import discord
import yarl
from discord import gateway, http


def tell(event, **data):
    print(json.dumps({"event": event, **data}), flush=True)


class Judge(discord.Client):
    failure = None
    heard = Counter()

    async def on_ready(self):
        try:
            await asyncio.wait_for(self.use_discord(), 60)
        except Exception as error:
            self.failure = error
        await self.close()

    async def use_discord(self):
        guild = self.get_guild(int(os.environ["DISCORD_GUILD_ID"]))
        paged = [member.name async for member in guild.fetch_members(limit=None)]
        found = await guild.query_members("person-7", limit=5)
        tell("paged", count=len(paged), last=paged[-1], found=found[0].name)

        bob = await guild.fetch_member(guild.get_member_named("bob").id)
        crew = await guild.create_role(name="Crew", colour=discord.Colour(0x336699), hoist=True, reason="a crew")
        await bob.add_roles(crew, reason="joins the crew")
        bob = await bob.edit(nick="Bobby", reason="wants to be called so")
        tell("changed", nick=bob.nick, roles=[role.name for role in bob.roles[1:]], colour=crew.colour.value)
        await bob.edit(roles=[crew, discord.utils.get(guild.roles, name="Staff")], nick=None)
        await bob.remove_roles(crew)
        moved = await crew.edit(name="Old Crew", position=2)
        tell("moved", name=moved.name, positions=[role.name for role in sorted(await guild.fetch_roles())])
        await guild.me.edit(nick="Judge")

        refused = []
        boosters = discord.utils.get(guild.roles, name="Boosters")
        alice = guild.get_member_named("alice")
        for attempt in (
            lambda: alice.edit(nick="x"),
            lambda: bob.add_roles(boosters),
            lambda: bob.add_roles(discord.Object(1)),
            lambda: alice.kick(),
            lambda: bob.edit(nick="x" * 33),
            lambda: guild.fetch_ban(bob),
            lambda: guild.fetch_member(1),
        ):
            try:
                await attempt()
                refused.append(None)
            except discord.HTTPException as error:
                refused.append([error.status, error.code])
        tell("refused", errors=refused)

        await guild.ban(bob, reason="ruhe, bitte: größer", delete_message_seconds=0)
        bans = [(ban.user.name, ban.reason) async for ban in guild.bans()]
        await guild.unban(bob)
        await guild.kick(discord.utils.get(guild.members, name="person-9") or found[0], reason="idle")
        tell("banned", bans=bans)

        deleted = asyncio.create_task(
            self.wait_for("audit_log_entry_create", check=lambda entry: entry.action == discord.AuditLogAction.role_delete)
        )
        await asyncio.sleep(0)
        await moved.delete(reason="no longer")
        await deleted
        entries = [
            [entry.action.value, entry.user.name, str(entry.target.id), entry.reason]
            async for entry in guild.audit_logs(limit=50, oldest_first=True)
        ]
        given = [entry async for entry in guild.audit_logs(action=discord.AuditLogAction.member_role_update)][-1]
        tell("log", entries=entries, given=[role.name for role in given.after.roles], heard=dict(self.heard))

    async def on_member_update(self, before, after):
        self.heard["member_update"] += 1

    async def on_member_remove(self, member):
        self.heard["member_remove"] += 1

    async def on_member_ban(self, guild, user):
        self.heard["ban"] += 1

    async def on_member_unban(self, guild, user):
        self.heard["unban"] += 1

    async def on_guild_role_create(self, role):
        self.heard["role_create"] += 1

    async def on_guild_role_delete(self, role):
        self.heard["role_delete"] += 1

    async def on_audit_log_entry_create(self, entry):
        self.heard["audit"] += 1


async def main():
    http.Route.BASE = os.environ["DISCORD_API"]
    gateway.DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(os.environ["DISCORD_GATEWAY"])
    async with Judge(intents=discord.Intents.all()) as judge:
        await judge.start(os.environ["DISCORD_TOKEN"])
    if judge.failure:
        raise judge.failure


discord.utils.setup_logging()
asyncio.run(main())
