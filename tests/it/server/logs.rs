//! `GET /build`: what may be read, and byte for byte.

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use sha2::{Digest as _, Sha256};

use crate::fake::delivery::{REPO, commit};
use crate::fake::http::{client, send};
use crate::fake::nomad::Builder;
use crate::fake::serve::Serve;
use crate::fake::world::{ACTOR, World, person};

/// A public build that runs.
async fn running(world: &World, serve: &Serve) -> String {
    let build = world.build(serve, "main", &commit(1), &commit(2)).await;
    world.nomad.run(&build);
    build
}

#[tokio::test]
async fn only_the_script_of_a_known_builders_child_can_be_read() {
    let world = World::new().await;
    world.nomad.register(&Builder::plain("secret-service").not_parameterized());
    let meta = serde_json::json!({"REPO_URL": REPO, "COMMIT": commit(1), "BRANCH": "b", "FLAVOR": "f"});
    world.nomad.register(&Builder::plain("stranger"));
    let foreign = world.nomad.dispatch_as_stranger("stranger", "", &meta);
    world.nomad.run(&foreign);
    world.nomad.say(&foreign, "not for you");
    let serve = world.serve().await;
    let build = running(&world, &serve).await;
    for query in [
        "job=secret-service".to_owned(),
        "job=builder".to_owned(),
        "job=..".to_owned(),
        "job=builder/dispatch-1-00000000".to_owned(),
        "job=builder/../secret-service".to_owned(),
        "job=builder%2f..%2f..%2fagent%2fself/dispatch-1-2".to_owned(),
        format!("job={foreign}"),
        format!("job={build}&task=controller"),
        format!("job={build}&task=prepare"),
        format!("job={build}&task=../executor"),
        format!("job={build}/.."),
    ] {
        for bearer in [None, Some(ACTOR)] {
            let reply = person(&serve, "GET", &format!("/build?{query}"), bearer).await;
            assert_eq!(reply.status, 404, "{query}: {}", reply.text);
        }
    }
    let asked: Vec<_> = world.nomad.wire().seen().into_iter().map(|seen| seen.path).collect();
    assert!(asked.iter().all(|path| !path.contains("..") && !path.contains("secret-service/")), "{asked:?}");
}

#[tokio::test]
async fn it_is_read_live_and_ends_with_the_build() {
    let world = World::new().await;
    let serve = world.serve().await;
    let build = running(&world, &serve).await;
    world.nomad.say(&build, "one");
    let answer = client().get(format!("{}/build?job={build}&log=stdout", serve.url)).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
    assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("text/plain"));
    let mut stream = answer.bytes_stream();
    let mut read = Vec::new();
    while !read.ends_with(b"one\n") {
        read.extend_from_slice(&stream.next().await.unwrap().unwrap());
    }
    world.nomad.say(&build, "two");
    while !read.ends_with(b"two\n") {
        read.extend_from_slice(&stream.next().await.unwrap().unwrap());
    }
    world.nomad.write(&build, "executor", "stderr", b"oops\n");
    world.nomad.exit(&build, 3);
    while let Some(chunk) = stream.next().await {
        read.extend_from_slice(&chunk.unwrap());
    }
    let text = String::from_utf8(read).unwrap();
    assert!(text.starts_with("one\ntwo\nalbatros: failure"), "{text}");
    assert_eq!(text.lines().count(), 3);
    let errors = send(&serve.url, "GET", &format!("/build?job={build}&log=stderr"), None).await;
    assert!(errors.text.starts_with("oops\nalbatros: failure"), "{}", errors.text);
    let raw = send(&serve.url, "GET", &format!("/build?job={build}&raw=1"), None).await;
    assert_eq!(raw.text, "one\ntwo\n");
    let page = send(&serve.url, "GET", &format!("/builds/{build}/log"), None).await;
    assert_eq!(page.text, text);
}

#[tokio::test]
async fn every_byte_arrives_as_it_was_written() {
    let world = World::new().await;
    let serve = world.serve().await;
    let build = running(&world, &serve).await;
    let mut bytes: Vec<u8> = (0..=255).collect();
    bytes.extend_from_slice("no newline at the end, ümlaut, \u{1b}[31m".as_bytes());
    world.nomad.write(&build, "executor", "stdout", &bytes);
    world.nomad.exit(&build, 0);
    let url = format!("{}/build?job={build}", serve.url);
    let raw = client().get(format!("{url}&raw=1")).send().await.unwrap().bytes().await.unwrap();
    assert_eq!(raw, bytes);
    let told = client().get(&url).send().await.unwrap().bytes().await.unwrap();
    assert_eq!(told[..bytes.len()], bytes);
    assert!(told[bytes.len()..].starts_with(b"\nalbatros: success"), "the last line is a line of its own");
}

const MEGABYTES: usize = 100;

fn megabyte(n: usize) -> Vec<u8> {
    let line = |at: usize| format!("{n:04} {at:05} {}\n", "abcdefghij".repeat(5));
    (0..).flat_map(|at| line(at).into_bytes()).take(1_000_000).collect()
}

#[tokio::test]
async fn a_hundred_megabytes_arrive_byte_for_byte() {
    let world = World::new().await;
    let serve = world.serve().await;
    let build = running(&world, &serve).await;
    let mut written = Sha256::new();
    for n in 0..MEGABYTES {
        let chunk = megabyte(n);
        written.update(&chunk);
        world.nomad.write(&build, "executor", "stdout", &chunk);
    }
    world.nomad.exit(&build, 0);
    let before = serve.memory();
    let answer = client().get(format!("{}/build?job={build}&raw=1", serve.url)).send().await.unwrap();
    let (mut read, mut length) = (Sha256::new(), 0);
    let mut stream = answer.bytes_stream();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.unwrap();
        length += chunk.len();
        read.update(&chunk);
    }
    assert_eq!(length, MEGABYTES * 1_000_000);
    assert_eq!(hex::encode(read.finalize()), hex::encode(written.finalize()));
    let grown = serve.memory().saturating_sub(before);
    assert!(grown < 40_000_000, "memory stays bounded: {grown} more");
}

#[tokio::test]
async fn five_hundred_readers_cost_one_reader_upstream_and_bounded_memory() {
    let world = World::new().await;
    let serve = world.serve().await;
    let build = running(&world, &serve).await;
    let text = String::from_utf8(megabyte(0)[..200_000].to_vec()).unwrap();
    world.nomad.write(&build, "executor", "stdout", text.as_bytes());
    let url = format!("{}/build?job={build}&raw=1", serve.url);
    let before = serve.memory();
    let one = client();
    let open = async || loop {
        let answer = one.get(&url).send().await.unwrap();
        // On a machine that is busy with other things, so many at once may have to ask again.
        if answer.status() != 503 {
            assert_eq!(answer.status(), 200);
            return answer;
        }
    };
    let mut answers = join_all((0..500).map(|_| open())).await;
    assert!(world.nomad.wire().open_connections() < 20, "{}", world.nomad.wire().open_connections());
    // A hundred leave, a hundred do not read, the rest read to the end.
    answers.drain(..100);
    let slow: Vec<_> = answers.drain(..100).collect();
    let readers = answers.into_iter().map(|answer| tokio::spawn(async move { answer.text().await.unwrap() }));
    let readers: Vec<_> = readers.collect();
    world.nomad.write(&build, "executor", "stdout", b"the end\n");
    world.nomad.exit(&build, 0);
    for reader in readers {
        let read = reader.await.unwrap();
        assert!(read.starts_with(&text) && read.ends_with("the end\n"), "{} bytes", read.len());
    }
    let grown = serve.memory().saturating_sub(before);
    assert!(grown < 100_000_000, "memory stays bounded: {grown} more");
    for answer in slow {
        assert!(answer.text().await.unwrap().ends_with("the end\n"), "who was slow gets all of it too");
    }
}

#[tokio::test]
async fn parts_can_be_read() {
    let world = World::new().await;
    let serve = world.serve().await;
    let build = running(&world, &serve).await;
    world.nomad.write(&build, "executor", "stdout", b"0123456789");
    let now = send(&serve.url, "GET", &format!("/build?job={build}&follow=false&raw=1"), None).await;
    assert_eq!(now.text, "0123456789", "what there is now, without waiting for the end");
    world.nomad.exit(&build, 0);
    let url = format!("{}/build?job={build}&raw=1", serve.url);
    let part = client().get(&url).header("range", "bytes=2-4").send().await.unwrap();
    assert_eq!(part.status(), 206);
    assert_eq!(part.text().await.unwrap(), "234");
}
