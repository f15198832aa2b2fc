//! This node's own DNS servers, for a machine that has a way out and was told of none.

use std::net::{IpAddr, Ipv4Addr};

/// The second one is what is behind a resolver of the node's own at its loopback.
const FILES: [&str; 2] = ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"];
/// A resolver reads no more (resolv.conf(5)).
const MOST: usize = 3;

/// Those that a machine can reach, of the first file that names one.
pub(super) fn of_this_node() -> Vec<IpAddr> {
    let texts = FILES.iter().filter_map(|file| std::fs::read_to_string(file).ok());
    texts.map(|text| named(&text)).find(|all| !all.is_empty()).unwrap_or_default()
}

fn named(text: &str) -> Vec<IpAddr> {
    let servers = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some("nameserver")).then(|| words.next()?.parse().ok()).flatten()
    });
    servers.filter(|server| is_reached(*server)).map(IpAddr::V4).take(MOST).collect()
}

/// What is denied to every machine ([`super::setup`]) is no server for one; nor is one of IPv6, which they do not have.
fn is_reached(server: Ipv4Addr) -> bool {
    let engines = matches!(server.octets(), [10, 0, 2, _]);
    !engines && !server.is_loopback() && !server.is_link_local() && !server.is_unspecified()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_no_machine_reaches_is_none() {
        let text = "# nameserver 9.9.9.9\nsearch example\nnameserver 127.0.0.53\nnameserver ::1\nnameserver fe80::1\n\
                    nameserver 169.254.169.254\nnameserver 10.0.2.3\nnameserver\nnameserver x\nnameserver 192.0.2.53\n";
        assert_eq!(named(text), [IpAddr::from([192, 0, 2, 53])]);
        assert!(named("nameserver 127.0.0.53\noptions edns0\n").is_empty());
    }
}
