//! This node's own DNS servers, for a machine that has a way out and was told of none.

use std::net::IpAddr;

/// The second one is what is behind a resolver of the node's own at its loopback.
const FILES: [&str; 2] = ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"];
/// A resolver reads no more (resolv.conf(5)).
const MOST: usize = 3;

/// Those that are `reached` from a machine, of the first file that names one.
pub(super) fn of_this_node(reached: &dyn Fn(IpAddr) -> bool) -> Vec<IpAddr> {
    let texts = FILES.iter().filter_map(|file| std::fs::read_to_string(file).ok());
    texts.map(|text| named(&text, reached)).find(|all| !all.is_empty()).unwrap_or_default()
}

fn named(text: &str, reached: &dyn Fn(IpAddr) -> bool) -> Vec<IpAddr> {
    let servers = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some("nameserver")).then(|| words.next()?.parse().ok()).flatten()
    });
    servers.filter(|server| reached(*server)).take(MOST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_named_one_a_line_and_those_that_are_not_reached_are_none() {
        let text = "# nameserver 9.9.9.9\nsearch example\nnameserver 127.0.0.53\nnameserver ::1\nnameserver fe80::1%eth0\n\
                    nameserver\nnameserver x\nnameserver 192.0.2.53\nnameserver 192.0.2.1\n";
        let all = named(text, &|server| !server.is_loopback());
        assert_eq!(all, [IpAddr::from([192, 0, 2, 53]), IpAddr::from([192, 0, 2, 1])]);
        assert!(named("nameserver 127.0.0.53\noptions edns0\n", &|server| !server.is_loopback()).is_empty());
    }
}
