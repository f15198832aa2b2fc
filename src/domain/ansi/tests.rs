//! What a terminal would show, and what hostile text does not do.

use proptest::prelude::*;

use super::{BYTES_MOST, Converter, LINE_MOST, Layout, Line, Mark};

fn lines_in(layout: Layout, pieces: &[&[u8]]) -> Vec<Line> {
    let mut converter = Converter::new(layout, Mark::START);
    let mut lines = Vec::new();
    for piece in pieces {
        converter.feed(piece, &mut |ready| lines.push(ready.line()));
    }
    converter.finish(&mut |ready| lines.push(ready.line()));
    lines
}

fn lines(bytes: &[u8]) -> Vec<Line> {
    lines_in(Layout::default(), &[bytes])
}

fn texts(bytes: &[u8]) -> Vec<String> {
    lines(bytes).iter().map(Line::text).collect()
}

/// Each span as `classes|text`.
fn spans(text: &str) -> Vec<String> {
    let lines = lines(text.as_bytes());
    let spans = lines.iter().flat_map(|line| &line.spans);
    spans.map(|span| format!("{}|{}", span.classes, span.text)).collect()
}

#[test]
fn styles_become_classes_and_last_over_lines() {
    assert_eq!(spans("plain"), ["|plain"]);
    assert_eq!(spans("\x1b[31mred words\n"), ["f1|red words"], "one span of one style");
    assert_eq!(spans("\x1b[1;31mred\x1b[0m not"), ["b f1|red", "| not"]);
    assert_eq!(spans("\x1b[32mover\nlines\x1b[m."), ["f2|over", "f2|lines", "|."]);
    assert_eq!(spans("\x1b[2;3;4;9mx\x1b[22;23;24;29my"), ["d i u s|x", "|y"]);
    assert_eq!(spans("\x1b[95mx\x1b[39my\x1b[4:3mz\x1b[4:0mz"), ["f13|x", "|y", "u|z", "|z"]);
}

#[test]
fn colours_of_all_spellings_are_taken_for_the_nearest() {
    for text in ["38;5;196", "38:5:196", "38;2;255;0;0", "38:2:255:0:0", "38:2::255:0:0", "0;1;22;38;5;196"] {
        assert_eq!(spans(&format!("\x1b[{text}mx")), ["f196|x"], "{text}");
    }
    assert_eq!(spans("\x1b[58;5;1;31mx"), ["f1|x"], "the colour of a line under text is passed over whole");
    assert_eq!(spans("\x1b[38;5;999mx\x1b[38;9mx"), ["|xx"]);
}

#[test]
fn a_background_has_text_that_can_be_read() {
    assert_eq!(spans("\x1b[41mx"), ["g1|x"]);
    assert_eq!(spans("\x1b[41;97mx"), ["g1 h15|x"]);
    assert_eq!(spans("\x1b[41;31mx"), ["g1|x"], "red on red is not");
    assert_eq!(spans("\x1b[7mx\x1b[27my"), ["inv|x", "|y"]);
    assert_eq!(spans("\x1b[7;31mx"), ["g1|x"]);
    assert_eq!(spans("\x1b[7;41mx"), ["inv|x"]);
}

#[test]
fn progress_that_is_written_over_itself_shows_its_last_state() {
    assert_eq!(texts(b" 10%\r 50%\r100%\n"), ["100%"]);
    assert_eq!(texts(b"Downloading\r\x1b[Kdone\n"), ["done"]);
    assert_eq!(texts(b"long text\x1b[2K\rshort\n"), ["short"]);
    assert_eq!(texts(b"first\r[ok]\n"), ["[ok]t"], "as a terminal would");
    assert_eq!(texts(b"windows\r\nlines\r\n"), ["windows", "lines"]);
    assert_eq!(texts(b"still there\r"), ["still there"]);
    assert_eq!(texts(b"abc\x08\x08X\n"), ["aXc"]);
    assert_eq!(texts(b"npm 1/3\x1b[1G\x1b[0Knpm 2/3\x1b[1G\x1b[0Knpm 3/3\n"), ["npm 3/3"]);
}

#[test]
fn what_concerns_the_terminal_alone_leaves_no_trace() {
    for text in [
        "\x1b]0;a title\x07text",
        "\x1b]8;;https://evil.example\x1b\\text\x1b]8;;\x1b\\",
        "\x1b]52;c;cm0gLXJm\x07text",
        "\x1bP1;2|dcs\x1b\\text",
        "\x1b_apc\x1b\\text",
        "\x1b^pm\x1b\\\x1bXsos\x1b\\text",
        "\x1b[2J\x1b[H\x1b[10;20Htext\x1b[?25l\x1b[3A",
        "\x1b(Btext\x1b[m\x0f",
        "\x1b7te\x1b8xt\x1b=",
        "\x1b\x1b[31\x1b[mtext",
    ] {
        assert_eq!(spans(text), ["|text"], "{text:?}");
    }
}

#[test]
fn a_sequence_that_does_not_end_takes_no_line_with_it() {
    for start in ["\x1b]0;title", "\x1bPdcs", "\x1b[31;", "\x1b_", "\x1b", "\x1b(", "\x1b]8;;x\x1b"] {
        assert_eq!(texts(format!("{start}\nnext\n").as_bytes()).last().unwrap(), "next", "{start:?}");
    }
    let endless = ["\x1b]52;c;", &"A".repeat(100_000), "seen\n"].concat();
    assert!(texts(endless.as_bytes()).concat().ends_with("AAAseen"));
    assert_eq!(texts("\x1b[31ümlaut".as_bytes()), ["ümlaut"]);
    assert_eq!(texts(format!("\x1b[{}mx", "1;".repeat(500)).as_bytes()).concat().chars().last(), Some('x'));
}

#[test]
fn html_is_text() {
    let text = "<script>alert(1)</script><img src=x onerror=alert(1)>&lt;\"'";
    assert_eq!(spans(text), [format!("|{text}")]);
    assert_eq!(spans("\x1b[31<script>mx"), ["|cript>mx"], "the sequence ends with its s");
}

#[test]
fn what_cannot_be_seen_is_shown_by_a_mark() {
    assert_eq!(spans("a\0b\x07\x7f"), ["|a", "odd|␀", "|b", "odd|␇␡"]);
    assert_eq!(spans("user\u{202e}txt.exe"), ["|user", "odd|⟨U+202E⟩", "|txt.exe"]);
    assert_eq!(spans("\u{9b}31m"), ["odd|⟨U+009B⟩", "|31m"]);
    assert_eq!(spans("tab\there"), ["|tab\there"]);
}

#[test]
fn what_is_no_text_is_replaced_as_the_standard_says() {
    for bytes in [
        &b"\xff\xfe"[..],
        b"a\xe2\x82b",
        b"\xc0\x80",
        b"\xf0\x9f\x98",
        b"\xed\xa0\x80",
        "ü€😀".as_bytes(),
        b"\xe2\xe2\x82\xac",
    ] {
        assert_eq!(texts(bytes).concat(), String::from_utf8_lossy(bytes), "{bytes:?}");
    }
    assert_eq!(texts(b"\xe2\x82\nb\xc3"), ["\u{fffd}", "b\u{fffd}"]);
}

#[test]
fn ten_megabytes_without_a_line_end_are_pieces() {
    let all = lines(&vec![b'x'; 10_000_000]);
    assert!(all.iter().all(|line| line.text().len() <= LINE_MOST));
    assert_eq!(all.iter().map(|line| line.text().len()).sum::<usize>(), 10_000_000);
    assert!(!all[0].continued && all[1..].iter().all(|line| line.continued));
    let exact = lines(&[&[b'x'; LINE_MOST][..], b"\r\nnext"].concat());
    assert_eq!(exact.iter().map(|line| line.continued).collect::<Vec<_>>(), [false, false]);
    let over = lines(&b"100%\r".repeat(200_000));
    assert!(over.len() < 6 && over.iter().all(|line| line.text() == "100%"), "{}", over.len());
}

#[test]
fn what_never_becomes_text_has_lines_that_end_too() {
    for bits in [&b"\xc3"[..], b"\x1b", b"\x1b]", b"\x1b[", b"\x1bPx\x1b", b"\xc3\x1b", b"\xf0\x80"] {
        let bytes = bits.repeat((1 << 20) / bits.len());
        let (mut marks, mut texts) = (Vec::new(), Vec::new());
        let mut converter = Converter::new(Layout::default(), Mark::START);
        converter.feed(&bytes, &mut |ready| {
            marks.push(ready.mark);
            texts.push(ready.line());
        });
        marks.push(converter.mark());
        let apart = marks.windows(2).map(|two| two[1].offset - two[0].offset).max().unwrap();
        assert!((1..BYTES_MOST + 4).contains(&apart), "{bits:?}: {apart}");
        assert!(bytes.len() as u64 - converter.mark().offset <= BYTES_MOST + 4, "{bits:?}");
        converter.finish(&mut |ready| texts.push(ready.line()));
        assert!(texts.iter().all(|line| line.text().chars().count() <= LINE_MOST + 1), "{bits:?}");
        assert!(texts[1..].iter().all(|line| line.continued), "{bits:?}");
        for size in [1, 4_093] {
            let pieces: Vec<&[u8]> = bytes.chunks(size).collect();
            assert!(lines_in(Layout::default(), &pieces) == texts, "{bits:?} in pieces of {size}");
        }
        let middle = marks[marks.len() / 2];
        let mut rest = Converter::new(Layout::default(), middle);
        let mut after = Vec::new();
        rest.feed(&bytes[usize::try_from(middle.offset).unwrap()..], &mut |ready| after.push(ready.line()));
        rest.finish(&mut |ready| after.push(ready.line()));
        assert!(after == texts[marks.len() / 2..], "{bits:?} from a mark on");
    }
    let bar = lines(&"\r██████".repeat(20_000).into_bytes());
    assert!(bar.len() > 1 && bar.iter().all(|line| line.text().chars().all(|char| char == '█')), "no character is cut");
}

#[test]
fn few_bytes_never_make_much() {
    for text in ["\x1b[9999Gx", "\x1b[9999Cx", "x\x1b[2K", "\x1b[99999999999C\x1b[Kx"] {
        let all = lines(text.repeat(2_000).as_bytes());
        let size: usize = all.iter().map(|line| line.text().len()).sum();
        assert!(size <= 300 + text.len() * 2_000, "{text:?}: {size}");
    }
}

#[test]
fn the_time_and_the_stream_are_taken_off_a_line() {
    let layout = Layout { times: true, both: true };
    let text = "2026-01-31T12:00:00.001Z out | 1%\r2%\n2026-01-31T12:00:01.000Z err | \x1b[31mno\n\
                albatros: 3 bytes are missing\n2026-01-31T12:00:02.000Z out | end";
    let all = lines_in(layout, &[text.as_bytes()]);
    let told: Vec<_> = all
        .iter()
        .map(|line| (line.time.as_deref(), line.source, line.text(), line.spans[0].classes.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            (Some("12:00:00.001"), Some("out"), "2%".to_owned(), ""),
            (Some("12:00:01.000"), Some("err"), "no".to_owned(), "f1"),
            (None, None, "albatros: 3 bytes are missing".to_owned(), ""),
            (Some("12:00:02.000"), Some("out"), "end".to_owned(), ""),
        ]
    );
    assert_eq!(lines_in(Layout { times: true, both: false }, &[b"short"])[0].text(), "short");
}

#[test]
fn an_unfinished_line_can_be_seen() {
    let mut converter = Converter::new(Layout::default(), Mark::START);
    assert_eq!(converter.partial(), None);
    converter.feed(b"one\nPassword: ", &mut |_ready| {});
    let partial = converter.partial().unwrap();
    assert_eq!((partial.number, partial.text().as_str()), (2, "Password: "));
}

/// What logs are made of, hostile ones too.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let bits = prop_oneof![
        Just(b"\x1b[".to_vec()),
        Just(b"\x1b]8;;x".to_vec()),
        Just(b"\x1b\\".to_vec()),
        Just(b"\x1bP".to_vec()),
        Just(b"\n".to_vec()),
        Just(b"\r".to_vec()),
        Just(b"\x1b[38;5;9m".to_vec()),
        Just(b"\x1b[K".to_vec()),
        Just(b"2026-01-31T12:00:00.001Z out | ".to_vec()),
        Just("ü😀\u{202e}".as_bytes().to_vec()),
        "[ -~]{0,20}".prop_map(String::into_bytes),
        proptest::collection::vec(any::<u8>(), 0..6),
        (1..40_000_usize).prop_map(|count| vec![b'z'; count]),
    ];
    proptest::collection::vec(bits, 0..40).prop_map(|bits| bits.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn however_it_is_cut_the_lines_are_the_same(
        bytes in hostile(), size in 1..50_usize, times in any::<bool>(), both in any::<bool>(),
    ) {
        let layout = Layout { times, both };
        let pieces: Vec<&[u8]> = bytes.chunks(size).collect();
        prop_assert_eq!(lines_in(layout, &pieces), lines_in(layout, &[&bytes]));
    }

    #[test]
    fn from_each_mark_on_the_lines_are_the_same(bytes in hostile(), times in any::<bool>()) {
        let layout = Layout { times, both: false };
        let mut marks = Vec::new();
        Converter::new(layout, Mark::START).feed(&bytes, &mut |ready| marks.push(ready.mark));
        let all = lines_in(layout, &[&bytes]);
        for mark in marks {
            let mut rest = Vec::new();
            let mut converter = Converter::new(layout, mark);
            converter.feed(&bytes[usize::try_from(mark.offset).unwrap()..], &mut |ready| rest.push(ready.line()));
            converter.finish(&mut |ready| rest.push(ready.line()));
            prop_assert_eq!(rest.as_slice(), &all[usize::try_from(mark.number - 1).unwrap()..]);
        }
    }

    #[test]
    fn lines_are_bounded_numbered_and_without_controls(bytes in hostile()) {
        for (index, line) in lines(&bytes).iter().enumerate() {
            prop_assert_eq!(line.number, index as u64 + 1);
            let text = line.text();
            prop_assert!(!text.contains(|char: char| char != '\t' && char.is_control()), "{:?}", text);
            prop_assert!(text.chars().count() <= LINE_MOST * 8);
        }
        prop_assert!(BYTES_MOST > LINE_MOST as u64);
    }
}
