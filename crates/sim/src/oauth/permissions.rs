//! What Discord calls permissions where it asks for them (`developers/topics/permissions`).

const NAMES: [(u32, &str); 51] = [
    (0, "Create Invite"),
    (1, "Kick Members"),
    (2, "Ban Members"),
    (3, "Administrator"),
    (4, "Manage Channels"),
    (5, "Manage Server"),
    (6, "Add Reactions"),
    (7, "View Audit Log"),
    (8, "Priority Speaker"),
    (9, "Video"),
    (10, "View Channels"),
    (11, "Send Messages"),
    (12, "Send Text-to-Speech Messages"),
    (13, "Manage Messages"),
    (14, "Embed Links"),
    (15, "Attach Files"),
    (16, "Read Message History"),
    (17, "Mention @everyone, @here, and All Roles"),
    (18, "Use External Emojis"),
    (19, "View Server Insights"),
    (20, "Connect"),
    (21, "Speak"),
    (22, "Mute Members"),
    (23, "Deafen Members"),
    (24, "Move Members"),
    (25, "Use Voice Activity"),
    (26, "Change Nickname"),
    (27, "Manage Nicknames"),
    (28, "Manage Roles"),
    (29, "Manage Webhooks"),
    (30, "Manage Expressions"),
    (31, "Use Application Commands"),
    (32, "Request to Speak"),
    (33, "Manage Events"),
    (34, "Manage Threads"),
    (35, "Create Public Threads"),
    (36, "Create Private Threads"),
    (37, "Use External Stickers"),
    (38, "Send Messages in Threads"),
    (39, "Use Activities"),
    (40, "Timeout Members"),
    (41, "View Server Subscription Insights"),
    (42, "Use Soundboard"),
    (43, "Create Expressions"),
    (44, "Create Events"),
    (45, "Use External Sounds"),
    (46, "Send Voice Messages"),
    (48, "Set Voice Channel Status"),
    (49, "Create Polls"),
    (50, "Use External Apps"),
    (51, "Pin Messages"),
];

/// The names of those that are set.
pub fn names(permissions: u64) -> Vec<&'static str> {
    let set = NAMES
        .iter()
        .filter(|(bit, _)| permissions & (1 << bit) != 0);
    set.map(|(_, name)| *name).collect()
}
