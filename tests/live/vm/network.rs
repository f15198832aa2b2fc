//! No network, or one from which the node's own loopback is out of reach.

use std::process::Command;

use axum::Router;
use axum::routing::get;
use tokio::net::TcpListener;

use super::node::Node;
use crate::minded::say;

/// For documentation, so nobody's; this machine has it as long as a test runs.
pub(super) const ELSEWHERE: &str = "198.51.100.7";

/// An address of this machine that is not of its loopback's range.
#[derive(Debug)]
pub(super) struct Address;

impl Address {
    pub(super) fn add(story: &str) -> Option<Self> {
        if ip("add") {
            return Some(Self);
        }
        say(&format!("SKIPPED {story}: no address can be added to this machine"));
        None
    }
}

impl Drop for Address {
    fn drop(&mut self) {
        ip("del");
    }
}

fn ip(verb: &str) -> bool {
    let status = Command::new("ip").args(["addr", verb, &format!("{ELSEWHERE}/32"), "dev", "lo"]).status();
    status.is_ok_and(|status| status.success())
}

/// A server that says where it is; gives its port.
async fn server(address: &'static str) -> u16 {
    let listener = TcpListener::bind((address, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(
        async move { axum::serve(listener, Router::new().route("/", get(move || async move { address }))).await },
    );
    port
}

/// A script that asks each address and port, and prints the last line of the answer. (A static busybox's wget dies of
/// looking up names.)
fn asks(servers: &[(&str, u16)]) -> String {
    let ask = |(address, port): &(&str, u16)| {
        let nc = format!("nc -w 5 {address} {port} 2>/dev/null");
        format!("(printf 'GET / HTTP/1.0\\r\\n\\r\\n'; sleep 2) | {nc} | tail -n 1 | grep . || echo nothing\n")
    };
    format!("#!/bin/sh\n{}", servers.iter().map(ask).collect::<String>())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_network_there_is_none() {
    let Some(node) = Node::begin("vm: no network").await else { return };
    let port = server("127.0.0.1").await;
    let script = asks(&[("10.0.2.2", port), ("127.0.0.1", port)]);
    let ended = node.build(&format!("{script}ls /sys/class/net\n")).run().await;
    assert_eq!((ended.code, ended.out()), (0, "nothing\nnothing\nlo\n"), "{}", ended.err);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_network_leads_out_and_not_to_the_nodes_loopback() {
    let Some(node) = Node::begin("vm: user network").await else { return };
    let Some(_address) = Address::add("vm: user network") else { return };
    let (outside, inside) = (server(ELSEWHERE).await, server("127.0.0.1").await);
    let servers = [(ELSEWHERE, outside), ("10.0.2.2", inside), ("10.0.2.3", inside), ("169.254.169.254", inside)];
    let script = format!("{}cat /etc/resolv.conf | grep nameserver\n", asks(&servers));
    let build = node.build(&script).flags(&["--network", "user", "--dns", "198.51.100.9"]);
    let ended = build.run().await;
    let expected = format!("{ELSEWHERE}\nnothing\nnothing\nnothing\nnameserver 198.51.100.9\n");
    assert_eq!((ended.code, ended.out()), (0, expected.as_str()), "{}", ended.err);

    // Twice, as always, and what is the machine's own: a list is taken as it is meant.
    let denied = ["198.51.100.0/24", "198.51.100.0/24", "169.254.0.0/16", "127.0.0.0/8"].map(|net| ["--deny", net]);
    let build = node.build(&asks(&servers[..1])).flags(&["--network", "user"]).flags(&denied.concat());
    let ended = build.run().await;
    assert_eq!((ended.code, ended.out()), (0, "nothing\n"), "{}", ended.err);
    node.nothing_is_left().await;
}
