//! Any text as a selector: no panic, no more names than are allowed, nothing selected that is not there, and what a file gives stays in
//! its parentheses.
#![no_main]

use std::borrow::Cow;

use libfuzzer_sys::fuzz_target;
use perilune_select::{Error, Facts, Key, Selector, hostlist, inline};

struct Site(Vec<String>);

impl Facts for Site {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn name(&self, position: usize) -> &str {
        &self.0[position]
    }

    fn value(&self, position: usize, _: &Key) -> Option<Cow<'_, str>> {
        position.is_multiple_of(3).then_some("r1".into())
    }

    fn known(&self, key: &Key) -> Option<Vec<String>> {
        (*key != Key::State).then(|| vec!["r1".to_owned()])
    }

    fn label_keys(&self) -> Vec<String> {
        vec!["canary".to_owned()]
    }
}

fuzz_target!(|text: &str| {
    let site = Site((10..80).map(|number| format!("n{number}")).collect());
    if let Ok(names) = hostlist::expand(text) {
        assert!(names.len() <= 100_000);
        assert_eq!(hostlist::expand(&hostlist::fold(&names)).is_ok(), names.len() <= 100_000);
    }
    let Ok(selector) = Selector::parse(text) else { return };
    assert_eq!(selector.text(), text);
    if let Some(Ok(names)) = selector.plain() {
        assert!(names.len() <= 100_000);
    }
    if let Ok(names) = selector.select(&site) {
        assert!(!names.is_empty() && names.iter().all(|name| site.0.iter().any(|known| known == name)));
    }
    if let Ok(whole) = inline(selector, |_| Ok::<_, Error>("n10\n!n11".to_owned())) {
        let _selected = whole.select(&site);
    }
});
