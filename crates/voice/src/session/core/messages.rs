//! What the voice gateway says.

use std::time::Instant;

use super::{Action, Core};
use crate::event::Event;
use crate::gateway::message::{Binary, Text};

impl Core {
    /// A JSON message.
    pub(crate) fn text_message(&mut self, text: &str, now: Instant) {
        let message = match Text::parse(text) {
            Ok((message, seq)) => {
                if let Some(seq) = seq {
                    self.link.numbered(seq);
                }
                message
            }
            // Without what it says, the rest may do.
            Err(error) => return tracing::warn!(%error, "from the voice gateway"),
        };
        self.receive(message, now);
        self.settle(now);
    }

    pub(super) fn receive(&mut self, message: Text, now: Instant) {
        match message {
            Text::Hello(hello) => self.link.hello(hello.heartbeat_interval, now),
            Text::Heartbeat => self.link.heartbeat_now(now),
            Text::HeartbeatAck(ack) => self.link.acknowledged(ack.t, now),
            Text::Ready(ready) => self.ready(ready, now),
            Text::SessionDescription(description) => self.description(description, now),
            Text::Resumed => self.resumed(now),
            Text::Speaking(speaking) => {
                let (ssrc, user) = (speaking.ssrc, speaking.user_id.get());
                self.receiver.belongs(ssrc, user, &mut self.outputs);
                self.retry(now);
            }
            Text::ClientsConnect(clients) => {
                for user in clients.user_ids {
                    if self.dave.connected(user.get()) {
                        let joined = Event::UserJoined {
                            user_id: user.get(),
                        };
                        self.actions.push_back(Action::Event(joined));
                    }
                }
            }
            Text::ClientDisconnect(client) => {
                let user_id = client.user_id.get();
                if self.dave.disconnected(user_id, now) {
                    self.user_video(user_id, &[]);
                    self.receiver.gone(user_id, &mut self.outputs);
                    self.outputs();
                    let left = Event::UserLeft { user_id };
                    self.actions.push_back(Action::Event(left));
                }
            }
            Text::PrepareTransition(p) => {
                self.dave
                    .prepare(p.transition_id, p.protocol_version, now, &mut self.steps);
            }
            Text::ExecuteTransition(t) => self.dave.execute(t.transition_id, &mut self.steps),
            Text::PrepareEpoch(p) => {
                self.dave
                    .prepare_epoch(p.epoch, p.protocol_version, now, &mut self.steps);
            }
            Text::Video(_) | Text::SessionUpdate(_) | Text::SinkWants(_) => {
                self.video_message(message, now);
            }
            Text::Other => {}
        }
    }

    /// A binary message.
    pub(crate) fn binary_message(&mut self, message: &[u8], now: Instant) {
        match Binary::parse(message) {
            Ok((_, seq)) => {
                self.link.numbered(seq.into());
                self.dave.receive(message, now, &mut self.steps);
                self.settle(now);
            }
            Err(error) => tracing::warn!(%error, "from the voice gateway"),
        }
    }
}
