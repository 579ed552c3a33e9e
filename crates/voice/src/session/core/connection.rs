//! The connection to the voice gateway: it comes up, breaks, is resumed, leads elsewhere, and ends.

use std::time::Instant;

use secrecy::ExposeSecret;

use super::{Action, Core, Identity, Stage};
use crate::config::{Endpoint, JoinInfo};
use crate::dave::{self, Dave};
use crate::error::{Cause, ConfigError, End};
use crate::event::Event;
use crate::gateway::Close;
use crate::gateway::link::Link;
use crate::gateway::message::Outgoing;
use crate::gateway::message::video::StreamWish;

impl Core {
    /// The WebSocket is open.
    pub(crate) fn opened(&mut self, now: Instant) {
        self.link.progress(now);
        let info = &self.identity.info;
        let channel_id = (self.config.gateway_version >= 9).then(|| info.channel_id.to_string());
        let server_id = info.guild_id.to_string();
        let session_id = info.session_id.expose_secret();
        let token = info.token.expose_secret();
        let message = match self.stage {
            Stage::Live { .. } => Outgoing::Resume {
                server_id,
                session_id,
                token,
                seq_ack: self.link.seq_ack(),
                channel_id,
            },
            _ => Outgoing::Identify {
                server_id,
                user_id: info.user_id.to_string(),
                session_id,
                token,
                max_dave_protocol_version: dave::VERSION,
                channel_id,
                video: self.video.is_some().then_some(true),
                streams: self.video.is_some().then(StreamWish::only),
            },
        };
        let message = message.to_json();
        self.actions.push_back(Action::Text(message));
    }

    /// The WebSocket could not be opened, or broke.
    pub(crate) fn failed(&mut self, error: Cause, now: Instant) {
        self.last_error = error;
        self.lost(now);
        self.settle(now);
    }

    /// The server closed the WebSocket.
    pub(crate) fn closed(&mut self, code: Option<u16>, now: Instant) {
        tracing::debug!(code, "the voice gateway closed the connection");
        match Close::of(code) {
            Close::Resume => {
                self.last_error = match code {
                    Some(code) => {
                        Cause::new(format!("it closed the connection (close code {code})"))
                    }
                    None => Cause::new("it closed the connection"),
                };
                self.lost(now);
            }
            Close::Await => self.wait(now),
            Close::End(end) => self.end(end),
        }
        self.settle(now);
    }

    /// The connection is gone: resume what can be, or begin anew.
    pub(super) fn lost(&mut self, now: Instant) {
        match &mut self.stage {
            Stage::Waiting(_) | Stage::Ended => return,
            Stage::Live { resuming, .. } => {
                if !std::mem::replace(resuming, true) {
                    self.actions.push_back(Action::Event(Event::Resuming));
                }
            }
            // There is nothing to resume before the session description.
            stage => {
                *stage = Stage::Greeting;
                self.link.anew();
                self.forget();
            }
        }
        self.actions.push_back(Action::Disconnect { code: 4000 });
        if !self.link.lost(now, self.config.attempts) {
            self.end(End::Unreachable {
                attempts: self.config.attempts + 1,
                last: self.last_error.clone(),
            });
        }
    }

    pub(super) fn resumed(&mut self, now: Instant) {
        let Stage::Live { live, resuming } = &mut self.stage else {
            return;
        };
        if !std::mem::replace(resuming, false) {
            return;
        }
        let speaking = live.speaking;
        self.link.up(now);
        self.actions.push_back(Action::Event(Event::Resumed));
        self.speaking(speaking);
        self.video_joined();
    }

    /// The main gateway named another voice server, or another channel.
    pub(crate) fn update_server(
        &mut self,
        info: JoinInfo,
        now: Instant,
    ) -> Result<(), ConfigError> {
        let endpoint = Endpoint::parse(&info.endpoint, self.config.scheme)?;
        if matches!(self.stage, Stage::Ended) {
            return Ok(());
        }
        self.identity = Identity { info, endpoint };
        self.stage = Stage::Greeting;
        self.forget();
        self.actions.push_back(Action::Disconnect { code: 1000 });
        self.link = Link::new(now, self.config.step_timeout);
        self.settle(now);
        Ok(())
    }

    /// The main gateway has no voice server for us at present: its endpoint is null.
    pub(crate) fn server_gone(&mut self, now: Instant) {
        self.wait(now);
        self.settle(now);
    }

    pub(super) fn wait(&mut self, now: Instant) {
        if matches!(self.stage, Stage::Waiting(_) | Stage::Ended) {
            return;
        }
        self.forget();
        self.stage = Stage::Waiting(now + self.config.move_timeout);
        self.link.down();
        self.actions.push_back(Action::Disconnect { code: 1000 });
        self.actions.push_back(Action::Event(Event::Waiting));
    }

    /// What belonged to the last voice server.
    pub(super) fn forget(&mut self) {
        let users: Vec<u64> = self.dave.users().collect();
        for user_id in users {
            self.receiver.gone(user_id, &mut self.outputs);
            self.outputs();
            let left = Event::UserLeft { user_id };
            self.actions.push_back(Action::Event(left));
        }
        let info = &self.identity.info;
        self.dave = Dave::new(info.user_id, info.channel_id);
        self.receiver.reset();
        self.video.iter_mut().for_each(|video| video.forget());
    }

    pub(crate) fn leave(&mut self) {
        self.end(End::Left);
    }

    pub(crate) fn end(&mut self, end: End) {
        if matches!(self.stage, Stage::Ended) {
            return;
        }
        self.stage = Stage::Ended;
        self.link.down();
        self.actions.push_back(Action::Disconnect { code: 1000 });
        self.actions.push_back(Action::End(end));
    }
}
