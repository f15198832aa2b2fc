//! What builds run in: a small tree of programs of this machine, as a chroot and as images that nobody must publish.

use std::path::Path;

use crate::commands::shell;
use crate::minded::{Minded, Room};

/// Copies programs, with the libraries that they load, to the same places below `$TREE`.
const GROW: &str = r#"
keep() { mkdir -p "$TREE${1%/*}"; [ -e "$TREE$1" ] || cp -L "$1" "$TREE$1"; }
add() { for one in "$1" $(ldd "$1" 2>/dev/null | grep -o '/[^ ]*'); do keep "$one"; done; }
mkdir -p "$TREE/tmp" "$TREE/etc" "$TREE/bin" "$TREE/usr/bin" "$TREE/proc" "$TREE/dev" "$TREE/sys"
chmod 1777 "$TREE/tmp"
printf 'root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n' >"$TREE/etc/passwd"
printf 'root:x:0:\nnogroup:x:65534:\n' >"$TREE/etc/group"
for name in sh cat wc echo sleep date ls ln rm mv cp dd kill id head tail env mkdir touch timeout setsid nohup yes true \
        tr chmod grep curl git seq fallocate mkfifo mktemp; do
    add "$(command -v "$name" | grep '^/' || echo "/usr/bin/$name")"
done
add /bin/sh
for one in $(ldd "$PROGRAM" | grep -o '/[^ ]*'); do keep "$one"; done
cp "$PROGRAM" "$TREE/usr/bin/albatros"
for name in git-remote-http git-remote-https git-daemon; do add "$(git --exec-path)/$name"; done
"#;

/// The image with all of it; also what builders' own tasks run in.
pub(crate) const TOOLS: &str = "albatros-live:tools";
/// An image with one static program, `/one`, and nothing else.
pub(crate) const ONE: &str = "albatros-live:one";
/// As [`TOOLS`], whose programs run as user 1234.
pub(crate) const USER: &str = "albatros-live:user";

/// The one program: it asks the build's API for a parameter, by hand.
const PROGRAM: &str = r#"
use std::io::{Read, Write};
fn main() {
    let api = std::env::var("ALBATROS_API").unwrap();
    let token = std::env::var("ALBATROS_TOKEN").unwrap();
    let mut socket = std::os::unix::net::UnixStream::connect(api.strip_prefix("unix:").unwrap()).unwrap();
    let head = "GET /v1/params/DEPLOY_KEY HTTP/1.1\r\nHost: x\r\nConnection: close\r\n";
    write!(socket, "{head}Authorization: Bearer {token}\r\n\r\n").unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    let value = answer.split_once("\r\n\r\n").unwrap().1;
    println!("one program, a parameter of {} bytes", value.len());
    println!("{} shells", ["/bin/sh", "/bin/bash"].iter().filter(|path| std::fs::metadata(path).is_ok()).count());
    // Nomad begins to read a container's output a while after its start, and may find it gone.
    std::thread::sleep(std::time::Duration::from_secs(2));
}
"#;

/// Fills a folder; the program under test is in it as `/usr/bin/albatros`.
pub(crate) async fn grow(tree: &Path, program: &Path) {
    let environment = [("TREE", tree), ("PROGRAM", program)];
    let environment = environment.map(|(name, path)| (name.to_owned(), path.to_str().unwrap().to_owned()));
    shell(GROW, &environment).await;
}

/// Makes the images, which go with this process.
pub(crate) async fn images(tree: &Path) -> Minded {
    let room = Room::new("images");
    let source = room.write("one.rs", PROGRAM);
    let one = room.path().join("one");
    std::fs::create_dir(&one).unwrap();
    let environment = [("TREE", tree), ("ONE", one.as_path()), ("SOURCE", Path::new(&source))];
    let environment = environment.map(|(name, path)| (name.to_owned(), path.to_str().unwrap().to_owned()));
    let lines = format!(
        "rustc -C target-feature=+crt-static -o \"$ONE/one\" \"$SOURCE\"
        tar -C \"$ONE\" -c . | docker import - {ONE}
        tar -C \"$TREE\" -c . | docker import - {TOOLS}
        tar -C \"$TREE\" -c . | docker import -c 'USER 1234:1234' - {USER}"
    );
    shell(&lines, &environment).await;
    let lines = format!("trap 'docker rmi -f {TOOLS} {ONE} {USER}; exit' TERM; while :; do sleep 1; done");
    Minded::start(room, &["sh".to_owned(), "-c".to_owned(), lines])
}
