//! A build's log in a browser: a page of lines, and events for who follows it.

use futures_util::StreamExt as _;
use serde_json::Value;

use crate::fake::delivery::{Delivery, commit};
use crate::fake::http::{Reply, client};
use crate::fake::nomad::Builder;
use crate::fake::serve::Serve;
use crate::fake::world::{READER, World};
use crate::html::assert_valid;

const BROWSER: &str = "text/html,application/xhtml+xml,*/*;q=0.8";

struct Seen {
    world: World,
    serve: Serve,
    build: String,
}

impl Seen {
    /// A build that runs.
    async fn running() -> Self {
        let world = World::new().await;
        let serve = world.serve().await;
        let build = world.build(&serve, "main", &commit(1), &commit(2)).await;
        world.nomad.run(&build);
        Self { world, serve, build }
    }

    /// A build that has printed this and is over.
    async fn ended(text: &[u8]) -> Self {
        let seen = Self::running().await;
        seen.world.nomad.write(&seen.build, "executor", "stdout", text);
        seen.exit().await;
        seen
    }

    async fn exit(&self) {
        self.world.nomad.exit(&self.build, 3);
        self.world.all_done(1).await;
    }

    fn url(&self, query: &str) -> String {
        format!("{}/builds/{}/log{query}", self.serve.url, self.build)
    }

    async fn page(&self, query: &str) -> Reply {
        let reply = Reply::read(client().get(self.url(query)).header("accept", BROWSER).send().await.unwrap()).await;
        assert!(reply.headers["content-type"].to_str().unwrap().starts_with("text/html"), "{}", reply.text);
        assert_valid(&reply.text);
        reply
    }

    async fn follow(&self, query: &str, last: Option<&str>) -> Events {
        let mut request = client().get(self.url(query)).header("accept", "text/event-stream");
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        Events { stream: answer.bytes_stream().boxed(), text: Vec::new() }
    }
}

/// What a browser would be told.
struct Events {
    stream: futures_util::stream::BoxStream<'static, reqwest::Result<bytes::Bytes>>,
    text: Vec<u8>,
}

#[derive(Debug)]
struct Event {
    id: String,
    name: String,
    data: Value,
}

impl Events {
    /// The next event; none at the end.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(at) = self.text.windows(2).position(|two| two == b"\n\n") {
                let block = String::from_utf8(self.text.drain(..at + 2).collect()).unwrap();
                let field = |name: &str| {
                    let found = block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
                    found.unwrap_or_default().to_owned()
                };
                if block.starts_with("retry:") || block.starts_with(':') {
                    continue;
                }
                let data = serde_json::from_str(&field("data")).unwrap();
                return Some(Event { id: field("id"), name: field("event"), data });
            }
            self.text.extend_from_slice(&self.stream.next().await?.unwrap());
        }
    }

    /// Lines until one is these words; gives the id behind it.
    async fn lines_to(&mut self, last: &str, lines: &mut Vec<String>) -> String {
        loop {
            let event = self.next().await.unwrap();
            if event.name == "lines" {
                assert_eq!(event.data["first"], lines.len() + 1, "none twice and none left out");
                lines.extend(texts(&event.data));
                assert_eq!(event.id, (lines.len() + 1).to_string());
            }
            if lines.last().is_some_and(|line| line == last) {
                return event.id;
            }
        }
    }

    /// Lines until the end, which is given.
    async fn read_on(&mut self, lines: &mut Vec<String>) -> Event {
        loop {
            let event = self.next().await.unwrap();
            match event.name.as_str() {
                "lines" => {
                    assert_eq!(event.data["first"], lines.len() + 1);
                    lines.extend(texts(&event.data));
                }
                "end" => return event,
                _ => {}
            }
        }
    }
}

fn texts(data: &Value) -> Vec<String> {
    let line = |line: &Value| line["text"].as_array().unwrap().iter().map(|span| span[1].as_str().unwrap()).collect();
    data["lines"].as_array().unwrap().iter().map(line).collect()
}

fn numbered(count: usize) -> String {
    (1..=count).map(|n| format!("line {n}\n")).collect()
}

#[tokio::test]
async fn an_ended_log_is_a_page_of_coloured_lines_and_says_how_it_ended() {
    let seen = Seen::ended(b"\x1b[1;32mok\x1b[0m plain\n10%\r100%\nlast").await;
    let page = seen.page("").await;
    assert_eq!(page.status, 200);
    for part in [
        "<a id=\"L1\" href=\"#L1\">1</a><span><span class=\"b f2\">ok</span> plain</span>",
        "<a id=\"L2\" href=\"#L2\">2</a><span>100%</span>",
        "<a id=\"L3\" href=\"#L3\">3</a><span>last</span>",
        "failure: Failed with exit 3",
    ] {
        assert!(page.text.contains(part), "{part} in {}", page.text);
    }
    assert!(!page.text.contains("data-log"), "nothing comes any more");
    assert!(page.headers["content-security-policy"].to_str().unwrap().contains("script-src 'self'"));
    let text = Reply::read(client().get(seen.url("")).send().await.unwrap()).await;
    assert!(text.text.starts_with("\x1b[1;32mok\x1b[0m plain\n10%\r100%\nlast\nalbatros: failure"), "{}", text.text);
}

#[tokio::test]
async fn what_a_log_says_is_text_and_nothing_else() {
    let hostile = "<script>alert(1)</script>\n</span></div></section><img src=x onerror=alert(1)>\n\
                   \x1b]52;c;cm0gLXJm\x07\x1b]8;;javascript:alert(1)\x1b\\click\x1b]8;;\x1b\\\n\u{202e}gnp.exe\n\
                   \x1b]0;never ends\n{{ chrome }} &amp; \"quoted\"\n";
    let seen = Seen::ended(hostile.as_bytes()).await;
    let page = seen.page("").await.text;
    assert!(page.contains("&#60;script&#62;alert(1)&#60;/script&#62;"), "{page}");
    assert!(!page.contains("<script>alert") && !page.contains("<img") && !page.contains("javascript:"), "{page}");
    assert!(page.contains("<span>click</span>") && page.contains("⟨U+202E⟩"), "{page}");
    assert!(!page.contains('\u{202e}') && !page.contains('\x1b'), "{page}");
    let mut lines = Vec::new();
    seen.follow("", None).await.read_on(&mut lines).await;
    assert_eq!(lines[0], "<script>alert(1)</script>");
    assert_eq!(lines.len(), 6);
}

#[tokio::test]
async fn a_large_log_is_seen_in_windows() {
    let seen = Seen::ended(numbered(60_000).as_bytes()).await;
    let end = seen.page("").await.text;
    assert!(end.contains(">line 60000<") && end.contains(">line 58001<") && !end.contains(">line 58000<"));
    assert!(end.contains("Lines 58001 to 60000 of 60000"));
    assert!(end.contains("/log?from=56001\">Earlier lines</a>"), "{}", &end[..4000]);
    let middle = seen.page("?from=30000&key=abc").await.text;
    assert!(middle.contains("<a id=\"L30000\" href=\"#L30000\">30000</a><span>line 30000</span>"));
    assert!(middle.contains(">line 31999<") && !middle.contains(">line 32000<") && !middle.contains(">line 29999<"));
    assert!(middle.contains("/log?from=32000&#38;key=abc\">Later lines</a>"), "the key stays in the links");
    let first = seen.page("?from=1").await.text;
    assert!(first.contains(">line 1<") && !first.contains(">Earlier lines<"));
    assert!(!seen.page("?from=99999999").await.text.contains(">line "));
    let wrong = Reply::read(client().get(seen.url("?from=x")).header("accept", BROWSER).send().await.unwrap()).await;
    assert_eq!(wrong.status, 400);
}

#[tokio::test]
async fn a_line_that_does_not_end_is_shown_in_pieces() {
    let seen = Seen::ended(&vec![b'x'; 3_000_000]).await;
    let page = seen.page("?from=1").await.text;
    assert!(page.len() < 3_000_000 && page.contains("class=\"l more\""));
    let mut lines = Vec::new();
    seen.follow("", None).await.read_on(&mut lines).await;
    assert_eq!(lines.iter().map(String::len).sum::<usize>(), 3_000_000);
}

#[tokio::test]
async fn a_running_log_is_followed_by_two_readers_and_resumed_without_loss() {
    let seen = Seen::running().await;
    seen.world.nomad.say(&seen.build, "one");
    let page = seen.page("").await.text;
    assert!(page.contains("data-log=\"/builds/") && page.contains("data-next=\"2\""), "{page}");
    let (mut first, mut second) = (seen.follow("", None).await, seen.follow("?from=1", None).await);
    let (mut one, mut two) = (Vec::new(), Vec::new());
    first.lines_to("one", &mut one).await;
    seen.world.nomad.say(&seen.build, "\x1b[31mtwo");
    let id = first.lines_to("two", &mut one).await;
    second.lines_to("two", &mut two).await;
    drop(first);
    seen.world.nomad.say(&seen.build, "three");
    let mut again = seen.follow("", Some(&id)).await;
    again.lines_to("three", &mut one).await;
    seen.world.nomad.write(&seen.build, "executor", "stdout", b"no line end");
    let part = loop {
        let event = again.next().await.unwrap();
        if event.name == "part" {
            break event;
        }
    };
    assert_eq!(
        (part.data["first"].as_u64(), texts(&part.data), part.id.as_str()),
        (Some(4), vec!["no line end".to_owned()], "")
    );
    assert_eq!(part.data["lines"][0]["text"][0][0], "f1", "still as red as the line before");
    assert!(seen.page("").await.text.contains("<span class=\"f1\">no line end</span>"));
    seen.exit().await;
    let end = again.read_on(&mut one).await;
    second.read_on(&mut two).await;
    assert_eq!(one, ["one", "two", "three", "no line end"]);
    assert_eq!(one, two);
    assert_eq!(end.data["outcome"], "failure");
    assert!(end.data["sentence"].as_str().unwrap().contains("Failed with exit 3"), "{end:?}");
    assert!(again.next().await.is_none(), "the stream ends");
    let over = client().get(seen.url("")).header("accept", "text/event-stream").header("last-event-id", &end.id);
    assert_eq!(over.send().await.unwrap().status(), 204, "who has been told all comes no more");
}

#[tokio::test]
async fn who_reads_a_page_skips_what_he_could_not_see() {
    let seen = Seen::ended(numbered(50_000).as_bytes()).await;
    let mut events = seen.follow("?skip=1", None).await;
    let (mut first, mut count) = (None, 0);
    loop {
        let event = events.next().await.unwrap();
        if event.name == "end" {
            break;
        }
        first.get_or_insert(event.data["first"].as_u64().unwrap());
        count += event.data["lines"].as_array().unwrap().len();
    }
    assert!(first.unwrap() > 1 && count < 50_000, "{first:?} {count}");
}

#[tokio::test]
async fn a_private_log_is_a_page_for_its_readers_alone() {
    let world = World::new().await;
    let serve = world.serve().await;
    world.forge.push("quentin/albatros", "main", &commit(2));
    let push = Delivery::push("main", &commit(1), &commit(2)).private();
    let build = world.build_by(&serve, &push).await;
    world.nomad.run(&build);
    world.nomad.say(&build, "private words");
    for accept in [BROWSER, "text/event-stream"] {
        let url = format!("{}/builds/{build}/log", serve.url);
        let stranger = Reply::read(client().get(&url).header("accept", accept).send().await.unwrap()).await;
        assert_eq!(stranger.status, 404);
        assert!(!stranger.text.contains("private words"));
    }
    let url = format!("{}/builds/{build}/log", serve.url);
    let reader = client().get(&url).header("accept", BROWSER).bearer_auth(READER).send().await.unwrap();
    let reader = Reply::read(reader).await;
    assert!(reader.status == 200 && reader.text.contains("private words"), "{}", reader.text);
}

#[tokio::test]
async fn the_logs_of_the_trusted_tasks_are_pages_where_there_is_a_controller() {
    let world = World::new().await;
    world.nomad.register(&Builder::full("builder"));
    let serve = world.serve().await;
    let build = world.build(&serve, "main", &commit(1), &commit(2)).await;
    world.nomad.run(&build);
    world.nomad.write(&build, "prepare", "stdout", b"fetching\n");
    let seen = Seen { world, serve, build };
    let page = seen.page("?task=prepare").await.text;
    assert!(page.contains(">fetching<") && page.contains("task=sidecar\">Sidecar</a>"), "{page}");
    let plain = Seen::running().await;
    let refused = client().get(plain.url("?task=prepare")).header("accept", BROWSER).send().await.unwrap();
    assert_eq!(refused.status(), 404);
    assert!(!plain.page("").await.text.contains("Sidecar"));
}

#[tokio::test]
async fn what_there_is_no_log_of_is_told_on_the_page() {
    let seen = Seen::running().await;
    let early = seen.page("").await;
    assert!(early.status == 200 && early.text.contains("data-next=\"1\""), "{}", early.text);
    let both = seen.page("?log=both").await;
    assert!(both.status == 410 && both.text.contains("ALBATROS_STORE"), "{}", both.text);
    assert!(both.text.contains(">stderr</a>"), "the ways to the other logs stay");
    let seen = Seen::ended(b"one\n").await;
    seen.world.nomad.purge(&seen.build);
    let gone = seen.page("").await;
    assert!(gone.status == 410 && gone.text.contains("the log is gone"), "{} {}", gone.status, gone.text);
}
