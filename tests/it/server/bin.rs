//! The server's own program, for builds to fetch.

use std::io::Read as _;

use albatros::domain::elf;

use crate::fake::http::{client, send};
use crate::fake::world::World;

const PROGRAM: &str = env!("CARGO_BIN_EXE_albatros");

fn name() -> String {
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        same => same,
    };
    format!("/bin/linux-{arch}.tar.gz")
}

#[tokio::test]
async fn a_program_that_any_image_can_run_is_offered_and_another_one_says_how_to_build_it() {
    let program = std::fs::read(PROGRAM).unwrap();
    let world = World::new().await;
    let serve = world.serve().await;
    let answer = client().get(format!("{}{}", serve.url, name())).send().await.unwrap();
    // Both happen: `RUSTFLAGS="-C target-feature=+crt-static" cargo test --target …` makes a static one.
    if !elf::is_static(&program[..elf::HEAD]) {
        assert_eq!(answer.status(), 501);
        let said = answer.text().await.unwrap();
        assert!(said.contains("target-feature=+crt-static") && said.ends_with("install albatros where builds run\n"));
        return;
    }
    assert_eq!(answer.status(), 200);
    let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
    let (etag, size) = (header("etag"), header("content-length"));
    assert_eq!((header("content-type"), header("cache-control")), ("application/gzip".into(), "no-cache".into()));
    let packed = answer.bytes().await.unwrap();
    assert_eq!(packed.len().to_string(), size);
    let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(&*packed));
    let mut entry = tar.entries().unwrap().next().unwrap().unwrap();
    let mut unpacked = Vec::new();
    entry.read_to_end(&mut unpacked).unwrap();
    assert!(unpacked == program, "it is the very program");
    assert_eq!(entry.header().mode().unwrap(), 0o755);

    let request = client().get(format!("{}{}", serve.url, name())).header("if-none-match", &etag);
    let known = request.send().await.unwrap();
    assert_eq!((known.status().as_u16(), known.bytes().await.unwrap().len()), (304, 0));
    let head = send(&serve.url, "HEAD", &name(), None).await;
    assert_eq!((head.status, head.headers["content-length"].to_str().unwrap()), (200, &*size));
    assert!(head.text.is_empty());
}

#[tokio::test]
async fn there_is_none_for_another_machine() {
    let world = World::new().await;
    let serve = world.serve().await;
    for other in ["/bin/linux-vax.tar.gz", "/bin/albatros", "/bin/..%2flinux-amd64.tar.gz"] {
        let reply = send(&serve.url, "GET", other, None).await;
        assert_eq!(reply.status, 404, "{other}");
        assert!(reply.text.contains(&name()), "{}", reply.text);
    }
}
