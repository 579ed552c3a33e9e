//! Opcodes of the voice gateway (`developers/topics/opcodes-and-status-codes`, "Voice"; DAVE protocol, "Voice Gateway
//! Opcodes").

pub const IDENTIFY: u8 = 0;
pub const SELECT_PROTOCOL: u8 = 1;
pub const READY: u8 = 2;
pub const HEARTBEAT: u8 = 3;
pub const SESSION_DESCRIPTION: u8 = 4;
pub const SPEAKING: u8 = 5;
pub const HEARTBEAT_ACK: u8 = 6;
pub const RESUME: u8 = 7;
pub const HELLO: u8 = 8;
pub const RESUMED: u8 = 9;
pub const CLIENTS_CONNECT: u8 = 11;
pub const VIDEO: u8 = 12;
pub const CLIENT_DISCONNECT: u8 = 13;
pub const SESSION_UPDATE: u8 = 14;
pub const MEDIA_SINK_WANTS: u8 = 15;
pub const BACKEND_VERSION: u8 = 16;
pub const PREPARE_TRANSITION: u8 = 21;
pub const EXECUTE_TRANSITION: u8 = 22;
pub const TRANSITION_READY: u8 = 23;
pub const PREPARE_EPOCH: u8 = 24;
pub const EXTERNAL_SENDER: u8 = 25;
pub const KEY_PACKAGE: u8 = 26;
pub const PROPOSALS: u8 = 27;
pub const COMMIT_WELCOME: u8 = 28;
pub const ANNOUNCE_COMMIT: u8 = 29;
pub const WELCOME: u8 = 30;
pub const INVALID_COMMIT_WELCOME: u8 = 31;
pub const NO_ROUTE: u8 = 32;
