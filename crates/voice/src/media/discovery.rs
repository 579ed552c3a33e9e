//! IP discovery: the voice server tells what address and port our datagrams come from
//! ([Discord](https://discord.com/developers/docs/topics/voice-connections#ip-discovery)).

use std::net::IpAddr;
use std::time::{Duration, Instant};

use uro_discord_media::Malformed;

/// The size of request and response.
pub(crate) const SIZE: usize = 74;

/// Datagrams get lost; a request is repeated after this.
const RETRY: Duration = Duration::from_millis(500);
const TRIES: u32 = 5;

/// Reads a response: our address and port, as the server sees them.
///
/// # Errors
///
/// When it is none, or one for another SSRC.
pub(crate) fn parse(datagram: &[u8], ssrc: u32) -> Result<(IpAddr, u16), Malformed> {
    let Ok(datagram) = <&[u8; SIZE]>::try_from(datagram) else {
        return Err(Malformed("IP discovery: it is not 74 bytes long"));
    };
    let [0, 2, 0, 70, s0, s1, s2, s3, address @ .., p0, p1] = datagram else {
        return Err(Malformed("IP discovery: it is no response"));
    };
    if u32::from_be_bytes([*s0, *s1, *s2, *s3]) != ssrc {
        return Err(Malformed("IP discovery: it is for another SSRC"));
    }
    let text = address.split(|byte| *byte == 0).next().unwrap_or_default();
    let address = std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse().ok());
    let port = u16::from_be_bytes([*p0, *p1]);
    match address {
        Some(address) if port != 0 => Ok((address, port)),
        _ => Err(Malformed("IP discovery: it holds no address")),
    }
}

fn request(ssrc: u32) -> [u8; SIZE] {
    let mut request = [0; SIZE];
    request[..4].copy_from_slice(&[0, 1, 0, 70]);
    request[4..8].copy_from_slice(&ssrc.to_be_bytes());
    request
}

/// Asks until the answer is there.
#[derive(Debug)]
pub(crate) struct Discovery {
    ssrc: u32,
    tries: u32,
    due: Instant,
}

/// What to do now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Send([u8; SIZE]),
    Wait,
    /// Nobody answered.
    Failed,
}

impl Discovery {
    pub(crate) fn new(ssrc: u32, now: Instant) -> Self {
        Self {
            ssrc,
            tries: 0,
            due: now,
        }
    }

    pub(crate) fn deadline(&self) -> Instant {
        self.due
    }

    #[allow(clippy::arithmetic_side_effects, reason = "it counts to TRIES")]
    pub(crate) fn poll(&mut self, now: Instant) -> Step {
        if now < self.due {
            return Step::Wait;
        }
        if self.tries == TRIES {
            return Step::Failed;
        }
        self.tries += 1;
        self.due = now + RETRY;
        Step::Send(request(self.ssrc))
    }

    pub(crate) fn answer(&self, datagram: &[u8]) -> Result<(IpAddr, u16), Malformed> {
        parse(datagram, self.ssrc)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(ssrc: u32, address: &str, port: u16) -> [u8; SIZE] {
        let mut response = request(ssrc);
        response[1] = 2;
        response[8..8 + address.len()].copy_from_slice(address.as_bytes());
        response[72..].copy_from_slice(&port.to_be_bytes());
        response
    }

    #[test]
    fn an_answer_is_read() {
        assert_eq!(
            parse(&response(9, "203.0.113.7", 50_000), 9),
            Ok((IpAddr::from([203, 0, 113, 7]), 50_000))
        );
        assert!(parse(&response(9, "2001:db8::1", 1), 9).is_ok());
        assert!(parse(&response(8, "203.0.113.7", 1), 9).is_err());
        assert!(parse(&response(9, "203.0.113.7", 0), 9).is_err());
        assert!(parse(&response(9, "example.com", 1), 9).is_err());
        assert!(parse(&request(9), 9).is_err());
        assert!(parse(&response(9, "203.0.113.7", 1)[..73], 9).is_err());
    }

    #[test]
    fn it_is_asked_again_and_given_up() {
        let start = Instant::now();
        let mut discovery = Discovery::new(1, start);
        for attempt in 0..TRIES {
            let now = start + RETRY * attempt;
            assert_eq!(discovery.deadline(), now);
            assert_eq!(discovery.poll(now), Step::Send(request(1)));
            assert_eq!(discovery.poll(now + RETRY / 2), Step::Wait);
        }
        assert_eq!(discovery.poll(start + RETRY * TRIES), Step::Failed);
    }

    #[test]
    fn random_bytes_do_no_harm() {
        let mut random = fastrand::Rng::with_seed(3);
        for _ in 0..20_000 {
            let mut datagram = response(0, "", 0);
            for byte in &mut datagram[8..] {
                *byte = random.u8(..);
            }
            let _ = parse(&datagram, 0);
        }
    }
}
