//! What viewers say of what they get. `rtc` keeps RTCP to its own interceptors, unless one of them hands it on.

use std::collections::VecDeque;
use std::time::Instant;

use rtc::interceptor::{
    Attribute, AttributedPacket, Interceptor, Packet, StreamInfo, TaggedPacket,
};
use rtc::rtcp;
use rtc::rtcp::payload_feedbacks::full_intra_request::FullIntraRequest;
use rtc::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc::rtcp::payload_feedbacks::receiver_estimated_maximum_bitrate::ReceiverEstimatedMaximumBitrate;
use rtc::rtcp::receiver_report::ReceiverReport;
use rtc::rtcp::sender_report::SenderReport;
use rtc::rtcp::transport_feedbacks::transport_layer_nack::TransportLayerNack;
use rtc::sansio::Protocol;
use rtc::shared::error::Error;

use crate::video::Feedback;

/// Behind all others.
pub(super) const SLOT: usize = 60_000;

/// Packets of one report that are looked at.
const PACKETS: usize = 16;

/// Sequence numbers of one report.
const MISSING: usize = 256;

/// Hands feedback on, each packet by itself: `rtc` looks at the first one of several only.
#[derive(Default)]
pub(super) struct Deliverer {
    read: VecDeque<TaggedPacket>,
    written: VecDeque<TaggedPacket>,
}

impl Protocol<TaggedPacket, TaggedPacket, ()> for Deliverer {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = Error;
    type Time = Instant;

    fn handle_read(&mut self, tagged: TaggedPacket) -> Result<(), Error> {
        if let Packet::Rtcp(packets) = &tagged.message.packet {
            for packet in packets.iter().take(PACKETS) {
                let any = packet.as_any();
                let wanted = any.is::<PictureLossIndication>()
                    || any.is::<FullIntraRequest>()
                    || any.is::<TransportLayerNack>()
                    || any.is::<ReceiverEstimatedMaximumBitrate>()
                    || any.is::<ReceiverReport>()
                    || any.is::<SenderReport>();
                if wanted {
                    let packet = Packet::Rtcp(vec![packet.clone()]);
                    self.read.push_back(TaggedPacket {
                        now: tagged.now,
                        transport: tagged.transport,
                        message: AttributedPacket::new(packet)
                            .with(Attribute::DeliverToApplication),
                    });
                }
            }
        }
        self.read.push_back(tagged);
        Ok(())
    }

    fn poll_read(&mut self) -> Option<TaggedPacket> {
        self.read.pop_front()
    }

    fn handle_write(&mut self, tagged: TaggedPacket) -> Result<(), Error> {
        self.written.push_back(tagged);
        Ok(())
    }

    fn poll_write(&mut self) -> Option<TaggedPacket> {
        self.written.pop_front()
    }
}

impl Interceptor for Deliverer {
    fn bind_local_stream(&mut self, _info: &StreamInfo) {}
    fn unbind_local_stream(&mut self, _info: &StreamInfo) {}
    fn bind_remote_stream(&mut self, _info: &StreamInfo) {}
    fn unbind_remote_stream(&mut self, _info: &StreamInfo) {}
}

/// What a packet says of our stream.
pub(super) fn read(packet: &dyn rtcp::Packet, ssrc: u32) -> Option<Feedback> {
    let any = packet.as_any();
    if let Some(loss) = any.downcast_ref::<PictureLossIndication>() {
        return (loss.media_ssrc == ssrc).then_some(Feedback::Keyframe);
    }
    if let Some(request) = any.downcast_ref::<FullIntraRequest>() {
        let ours = request.fir.iter().any(|entry| entry.ssrc == ssrc);
        return ours.then_some(Feedback::Keyframe);
    }
    if let Some(nack) = any.downcast_ref::<TransportLayerNack>() {
        let missing = nack.nacks.iter().flat_map(|pair| {
            let following = (0..16_u16).filter(|bit| pair.lost_packets & (1 << bit) != 0);
            let first = pair.packet_id;
            std::iter::once(first)
                .chain(following.map(move |bit| first.wrapping_add(bit).wrapping_add(1)))
        });
        let missing = missing.take(MISSING).collect();
        return (nack.media_ssrc == ssrc).then_some(Feedback::Missing(missing));
    }
    if let Some(estimate) = any.downcast_ref::<ReceiverEstimatedMaximumBitrate>() {
        let bits = estimate.bitrate;
        let ours = estimate.ssrcs.contains(&ssrc) && bits.is_finite() && bits >= 0.0;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is a number of bits, and what is too large becomes the largest one"
        )]
        return ours.then_some(Feedback::Carries(bits as u64));
    }
    // Who sends too may say it in his own report (RFC 3550, 6.4.1).
    let reports = match any.downcast_ref::<SenderReport>() {
        Some(report) => &report.reports,
        None => &any.downcast_ref::<ReceiverReport>()?.reports,
    };
    let ours = reports.iter().find(|it| it.ssrc == ssrc)?;
    Some(Feedback::Lost(ours.fraction_lost))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rtc::rtcp::reception_report::ReceptionReport;

    #[test]
    fn loss_is_in_reports_of_who_only_receives_and_of_who_sends_too() {
        let reports = vec![ReceptionReport {
            ssrc: 7,
            fraction_lost: 40,
            ..ReceptionReport::default()
        }];
        let receiver = ReceiverReport {
            reports: reports.clone(),
            ..ReceiverReport::default()
        };
        let sender = SenderReport {
            reports,
            ..SenderReport::default()
        };
        let both: [&dyn rtcp::Packet; 2] = [&receiver, &sender];
        for report in both {
            assert!(matches!(read(report, 7), Some(Feedback::Lost(40))));
            assert!(read(report, 8).is_none());
        }
    }
}
