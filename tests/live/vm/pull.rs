//! An image that is fetched, from a registry that takes its time for ever.

use rustix::process::Signal;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::node::{Ended, LONG, LONG_LIFE, Node};
use crate::fake::controller::FakeController;

/// A build whose image is being fetched: it is sent a signal then, and this is how it ended.
async fn fetching(node: &Node, signal: Signal) -> (Ended, FakeController) {
    let registry = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let image = format!("{}/o/r:1", registry.local_addr().unwrap());
    let build = node.build("#!/bin/sh\necho ran\n").var("NOMAD_META_IMAGE", &image);
    let (running, controller) = build.flags(&["--pull", "missing", "--life", LONG_LIFE]).start();
    let (_asks, _from): (TcpStream, _) = timeout(LONG, registry.accept()).await.unwrap().unwrap();
    running.signal(signal);
    (running.end().await, controller)
}

fn half_made(node: &Node) -> usize {
    std::fs::read_dir(node.store().join("tmp")).unwrap().count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_build_that_is_stopped_while_its_image_is_fetched_ends_and_leaves_nothing() {
    let Some(node) = Node::begin("vm: TERM at a pull").await else { return };
    let (ended, controller) = fetching(&node, Signal::TERM).await;
    assert_eq!((ended.code, ended.out()), (143, ""), "{}", ended.err);
    assert!(ended.err.contains("stopped before the machine was started"), "{}", ended.err);
    let calls = controller.calls();
    assert!(calls.iter().any(|call| call.starts_with("machine ") && call.contains("\"failed\"")), "{calls:?}");
    assert_eq!(half_made(&node), 0);
    node.is_unharmed().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_build_that_is_killed_while_its_image_is_fetched_leaves_nothing_for_the_next() {
    let Some(node) = Node::begin("vm: kill -9 of albatros vm at a pull").await else { return };
    let (ended, _controller) = fetching(&node, Signal::KILL).await;
    assert_eq!((ended.code, ended.out()), (-9, ""), "{}", ended.err);
    node.is_unharmed().await;
    assert_eq!(half_made(&node), 0);
}
