//! Chance that can be repeated, and what requests are made of by it: names, values, and bodies with something wrong in them.

use serde_json::{Map, Value, json};

/// Numbers that look like chance and follow from the seed alone (`SplitMix64`).
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end.max(1)).unwrap()).unwrap()
    }

    /// Whether it is one of so many hundred times.
    pub(super) fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub(super) fn one<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }

    pub(super) fn shuffle<T>(&mut self, list: &mut [T]) {
        for last in (1..list.len()).rev() {
            list.swap(last, self.below(last + 1));
        }
    }

    /// A name that nobody means well with. None is an absolute path: trees of images are removed with the images.
    pub(super) fn hostile(&mut self) -> String {
        const HOSTILE: [&str; 31] = [
            "'",
            "\"",
            "''; DROP TABLE node; --",
            "1 OR 1=1",
            "x' UNION SELECT password FROM user --",
            "{{ 7 * 7 }}",
            "{% include 'luna.ini' %}",
            "${jndi:ldap://127.0.0.1/x}",
            "$(id)",
            "`id`",
            "; reboot",
            "a/b",
            "../../../secret",
            "..",
            ".",
            "%",
            "%2e%2e%2f",
            "%00",
            "\u{0}",
            "a\u{0}b",
            "line\nbreak",
            "return\r\nx-header: y",
            "\u{1b}[31m",
            "\u{7f}",
            "tab\t",
            " ",
            "ümläut",
            "\u{202e}gnp",
            "👾",
            "-rf",
            "<script>alert(1)</script>",
        ];
        match self.below(34) {
            0 => String::new(),
            1 => "x".repeat(10_000),
            2 => "ä".repeat(2_000),
            other => HOSTILE[other - 3].to_owned(),
        }
    }

    /// A value that may be meant well in some place, and is wrong in most.
    fn value(&mut self) -> Value {
        const WORDS: [&str; 22] = [
            "yes",
            "no",
            "true",
            "0",
            "1500",
            "-1",
            "99999999999999999999",
            "10.141.0.77",
            "10.99.0.0/16",
            "0.0.0.0/0",
            "::/0",
            "fd00::1/64",
            "255.255.255.255",
            "52:54:00:00:00:0a",
            "node[001-004]",
            "node[000000001-999999999]",
            "node001",
            "compute",
            "spare",
            "debian",
            "ipv4",
            "c2VjcmV0",
        ];
        match self.below(16) {
            0 => Value::Null,
            1 => json!(true),
            2 => json!(0),
            3 => json!(-1),
            4 => json!(u64::MAX),
            5 => json!(1e308),
            6 => json!(0.1),
            7 => json!([]),
            8 => json!({}),
            9 => serde_json::from_str(&brackets(100)).unwrap(),
            10 => json!([[["deep"]], { "deep": [null] }]),
            11 | 12 => json!(self.hostile()),
            _ => json!(*self.one(&WORDS)),
        }
    }

    /// Makes so many things in a body different.
    pub(super) fn mutate(&mut self, body: &mut Value, times: usize) {
        for _ in 0..times {
            // Most have an envelope of three, and it is dull to break that.
            let depth = if self.percent(15) { self.below(3) } else { 3 + self.below(4) };
            self.mutate_at(body, depth);
        }
    }

    fn mutate_at(&mut self, value: &mut Value, depth: usize) {
        match value {
            Value::Object(map) if depth > 0 && !map.is_empty() => {
                let key = self.key_of(map);
                self.mutate_at(&mut map[&key], depth - 1);
            }
            Value::Array(list) if depth > 0 && !list.is_empty() => {
                let index = self.below(list.len());
                self.mutate_at(&mut list[index], depth - 1);
            }
            Value::Object(map) => self.mutate_map(map),
            Value::Array(list) if self.percent(50) => {
                let again = list.first().cloned().unwrap_or_else(|| self.value());
                list.push(again);
            }
            other => *other = self.value(),
        }
    }

    fn mutate_map(&mut self, map: &mut Map<String, Value>) {
        match self.below(5) {
            0 if !map.is_empty() => {
                let key = self.key_of(map);
                map.remove(&key);
            }
            1 if !map.is_empty() => {
                let key = self.key_of(map);
                let value = map.remove(&key).unwrap();
                map.insert(format!("{key}{}", self.one(&["s", "_", " ", "\u{0}"])), value);
            }
            2 => drop(map.insert(self.hostile(), self.value())),
            _ if map.is_empty() => drop(map.insert("name".to_owned(), self.value())),
            _ => {
                let key = self.key_of(map);
                map[&key] = self.value();
            }
        }
    }

    fn key_of(&mut self, map: &Map<String, Value>) -> String {
        map.keys().nth(self.below(map.len())).unwrap().clone()
    }

    /// Leaves few fields, so that a request is refused for one thing and not for all.
    pub(super) fn thin(&mut self, value: &mut Value) {
        let Value::Object(map) = value else { return };
        let keep = 1 + self.below(4);
        while map.len() > keep {
            let key = self.key_of(map);
            // Without these it would not be the same request at all.
            if key.starts_with("new") || self.percent(5) {
                return;
            }
            map.remove(&key);
        }
    }

    /// The bytes of a body; sometimes they are no JSON.
    pub(super) fn written(&mut self, body: &Value) -> Vec<u8> {
        let mut text = body.to_string().into_bytes();
        match self.below(100) {
            0 => text.truncate(self.below(text.len())),
            1 => text.clear(),
            2 => text.push(b'}'),
            3 => text.insert(text.len() / 2, 0xff),
            4 => text = brackets(50_000).into_bytes(),
            5 => text = self.value().to_string().into_bytes(),
            _ => {}
        }
        text
    }
}

/// Lists in lists.
fn brackets(depth: usize) -> String {
    format!("{}{}", "[".repeat(depth), "]".repeat(depth))
}
