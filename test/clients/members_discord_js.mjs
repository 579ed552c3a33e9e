// discord.js against discord-sim: pages of members, roles made, given, moved and taken, nicknames, bans, the audit log.
//
// Told by the environment: DISCORD_API, DISCORD_TOKEN, DISCORD_GUILD_ID, and NODE_MODULES, the folder where discord.js is. Prints what it
// sees as JSON lines, and ends by itself. The test is in crates/sim/tests/clients.rs.

import { once } from 'node:events';
import { createRequire } from 'node:module';

const require = createRequire(`${process.env.NODE_MODULES}/`);
const { AuditLogEvent, Client, Events, GatewayIntentBits } = require('discord.js');

const tell = (event, data = {}) => console.log(JSON.stringify({ event, ...data }));

const client = new Client({
  intents: [GatewayIntentBits.Guilds, GatewayIntentBits.GuildMembers, GatewayIntentBits.GuildModeration],
  // discord.js adds the version itself.
  rest: { api: process.env.DISCORD_API.replace(/\/v10$/, '') },
});

const heard = {};
for (const [name, event] of Object.entries({
  member_update: Events.GuildMemberUpdate,
  member_remove: Events.GuildMemberRemove,
  ban: Events.GuildBanAdd,
  unban: Events.GuildBanRemove,
  role_create: Events.GuildRoleCreate,
  role_delete: Events.GuildRoleDelete,
  audit: Events.GuildAuditLogEntryCreate,
})) {
  client.on(event, () => (heard[name] = (heard[name] ?? 0) + 1));
}

const names = (roles) => [...roles.values()].sort((a, b) => a.comparePositionTo(b)).map((role) => role.name);

async function useDiscord() {
  const guild = client.guilds.cache.get(process.env.DISCORD_GUILD_ID);
  // All members come over the gateway, and so discord.js knows of whom it is told later.
  await guild.members.fetch();
  const paged = [];
  for (let after = '0'; ; ) {
    const page = await guild.members.list({ limit: 1000, after });
    paged.push(...page.values());
    if (page.size < 1000) break;
    after = paged.at(-1).id;
  }
  const found = await guild.members.search({ query: 'person-7' });
  tell('paged', { count: paged.length, last: paged.at(-1).user.username, found: found.first().user.username });

  const bob = paged.find((member) => member.user.username === 'bob');
  const alice = paged.find((member) => member.user.username === 'alice');
  const role = (name) => guild.roles.cache.find((known) => known.name === name);
  const crew = await guild.roles.create({ name: 'Crew', colors: { primaryColor: 0x336699 }, hoist: true, reason: 'a crew' });
  await bob.roles.add(crew, 'joins the crew');
  await bob.setNickname('Bobby', 'wants to be called so');
  const now = await guild.members.fetch({ user: bob.id, force: true });
  tell('changed', { nick: now.nickname, roles: names(now.roles.cache).slice(1), colour: crew.colors.primaryColor });
  await bob.edit({ roles: [crew, role('Staff')], nick: null });
  await bob.roles.remove(crew);
  await crew.setPosition(2);
  const moved = await crew.setName('Old Crew');
  tell('moved', { name: moved.name, positions: names(await guild.roles.fetch(undefined, { force: true })) });
  await guild.members.me.setNickname('Judge');

  const errors = [];
  for (const attempt of [
    () => alice.setNickname('x'),
    () => bob.roles.add(role('Boosters')),
    () => bob.roles.add('1'),
    () => alice.kick(),
    () => bob.setNickname('x'.repeat(33)),
    () => guild.bans.fetch({ user: bob.id, force: true }),
    () => guild.members.fetch({ user: '1', force: true }),
  ]) {
    errors.push(await attempt().then(() => null, (error) => [error.status, error.code]));
  }
  tell('refused', { errors });

  await guild.bans.create(bob.id, { reason: 'ruhe, bitte: größer' });
  const bans = await guild.bans.fetch();
  await guild.bans.remove(bob.id);
  await guild.members.kick(paged.find((member) => member.user.username === 'person-9'), 'idle');
  tell('banned', { bans: bans.map((ban) => [ban.user.username, ban.reason]) });

  const told = once(client, Events.GuildRoleDelete);
  await moved.delete('no longer');
  await told;
  while (heard.audit < 12) await once(client, Events.GuildAuditLogEntryCreate);
  const log = await guild.fetchAuditLogs({ limit: 50 });
  const entries = [...log.entries.values()].reverse().map((entry) => [entry.action, entry.executor.username, entry.targetId, entry.reason]);
  const given = await guild.fetchAuditLogs({ type: AuditLogEvent.MemberRoleUpdate });
  const first = given.entries.last().changes[0];
  tell('log', { entries, given: first.key === '$add' && first.new.map((added) => added.name), heard });
  await client.destroy();
}

client.once(Events.ClientReady, () => useDiscord().catch(fail));
client.on(Events.Error, fail);

function fail(error) {
  console.error(error);
  process.exit(1);
}

client.login(process.env.DISCORD_TOKEN).catch(fail);
