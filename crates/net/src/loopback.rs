//! What never leaves this machine.

use std::net::IpAddr;

/// Whether a host, as a URL has it, is this machine itself: then a secret may go there without TLS.
pub fn is_loopback(host: &str) -> bool {
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    host == "localhost"
        || bare
            .unwrap_or(host)
            .parse()
            .is_ok_and(|ip: IpAddr| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_looks_like_it_is_none() {
        for here in ["localhost", "127.0.0.1", "127.9.9.9", "::1", "[::1]"] {
            assert!(is_loopback(here), "{here}");
        }
        let elsewhere = [
            "",
            "127.0.0.1.example.com",
            "localhost.example.com",
            "discord.com",
            "10.0.0.1",
            "[::1",
            "[::2]",
            "0.0.0.0",
        ];
        for elsewhere in elsewhere {
            assert!(!is_loopback(elsewhere), "{elsewhere}");
        }
    }
}
