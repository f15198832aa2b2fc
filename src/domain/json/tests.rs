use super::*;
use proptest::prelude::*;

fn refused(text: &str) -> JsonError {
    parse_strict(text.as_bytes()).unwrap_err()
}

#[test]
fn a_key_that_stands_twice_is_refused_anywhere() {
    for text in [r#"{"a":1,"a":1}"#, r#"[{"x":{"a":1,"b":2,"a":3}}]"#, r#"{"a":1,"\u0061":2}"#, r#"{"":1,"":2}"#] {
        assert!(matches!(refused(text), JsonError::DuplicateKey(_)), "{text}");
    }
    assert!(parse_strict(br#"{"a":{"a":1},"b":[{"a":1},{"a":2}]}"#).is_ok());
}

#[test]
fn depth_and_width_have_an_end() {
    let deep = |open: &str, close: &str, n| format!("{}1{}", open.repeat(n), close.repeat(n));
    assert!(parse_strict(deep("[", "]", 100).as_bytes()).is_ok());
    for n in [101, 127, 128, 10_000] {
        assert!(parse_strict(deep("[", "]", n).as_bytes()).is_err(), "{n}");
        assert!(parse_strict(deep(r#"{"a":"#, "}", n).as_bytes()).is_err(), "{n}");
    }
    assert!(matches!(refused(&"[".repeat(10_000)), JsonError::TooDeep));
    let wide: Vec<String> = (0..5_000).map(|n| format!(r#""{n}":0"#)).collect();
    assert!(matches!(refused(&format!("{{{}}}", wide.join(","))), JsonError::TooWide));
}

#[test]
fn what_is_not_json_is_refused() {
    for text in [
        "",
        " ",
        "{",
        "{}x",
        "[1,]",
        "{'a':1}",
        "\u{feff}{}",
        r#""\ud800""#,
        r#""\udc00\ud800""#,
        "1e999",
        "NaN",
        "\"a\nb\"",
    ] {
        assert!(matches!(refused(text), JsonError::NotJson { .. }), "{text}");
    }
    assert!(parse_strict(b"\"\xff\"").is_err());
    assert!(parse_strict(b"{\"\xed\xa0\x80\":1}").is_err());
}

#[test]
fn only_a_string_at_the_very_path_is_found() {
    let find = |text: &str| find_strict(text.as_bytes(), &["a", "b"]).unwrap();
    assert_eq!(find(r#"{"b":"no","a":{"x":{"b":"no"},"b":"yes"},"c":{"b":"no"}}"#).as_deref(), Some("yes"));
    assert_eq!(find(r#"{"a":{"\u0062":"y\u0065s"}}"#).as_deref(), Some("yes"));
    for text in [
        r#"{"a":{"b":1}}"#,
        r#"{"a":{"b":["x"]}}"#,
        r#"{"a":[{"b":"x"}]}"#,
        r#"[{"a":{"b":"x"}}]"#,
        "null",
        r#""x""#,
        r#"{"a":"x"}"#,
        r#"{"a":{"b":{"c":"x"}}}"#,
    ] {
        assert_eq!(find(text), None, "{text}");
    }
}

#[test]
fn nul_is_no_part_of_a_delivery() {
    assert!(matches!(find_strict(br#"{"x":["a\u0000b"]}"#, &[]), Err(JsonError::Nul)));
    assert!(parse_strict(br#"{"inject":"a\u0000b"}"#).is_ok());
}

fn tree() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::btree_map(any::<String>(), inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_was_written_is_read_back(value in tree()) {
        let text = serde_json::to_vec(&value).unwrap();
        prop_assert_eq!(parse_strict(&text).unwrap(), value);
    }

    #[test]
    fn any_bytes_are_refused_or_read_as_others_read_them(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        if let Ok(value) = parse_strict(&bytes) {
            prop_assert_eq!(serde_json::from_slice::<Value>(&bytes).unwrap(), value);
        }
    }
}
