//! Which distribution a tree has.

use std::fs;
use std::path::Path;

use crate::tree::Tree;

/// Where a system says what it is, by os-release(5).
const PLACES: [&str; 2] = ["etc/os-release", "usr/lib/os-release"];
/// The families by which network configurations and plugins are chosen, with the identifiers of their members. Ubuntu comes before
/// Debian, which it says that it is like.
const FAMILIES: [(&str, &[&str]); 4] = [
    ("ubuntu", &["ubuntu"]),
    ("debian", &["debian"]),
    ("redhat", &["rhel", "fedora", "centos", "rocky", "almalinux", "ol"]),
    (
        "opensuse",
        &["suse", "opensuse", "sles", "sled", "sle_hpc", "opensuse-leap", "opensuse-tumbleweed"],
    ),
];

/// The distribution of the system in a tree: `redhat`, `debian`, `ubuntu` or `opensuse` for these and those that are made like them,
/// another's own word, and `None` where the tree does not say.
pub fn distribution(tree: &Path) -> Option<String> {
    let tree = Tree::new(tree);
    let text = PLACES.iter().find_map(|place| {
        let file = tree.file(Path::new(place))?;
        fs::read_to_string(file).ok()
    })?;
    let own = value(&text, "ID").filter(|id| !id.is_empty())?;
    let like = value(&text, "ID_LIKE").unwrap_or_default();
    // Its own word comes first: others tell only whom it resembles.
    let family = [&own]
        .into_iter()
        .map(String::as_str)
        .chain(like.split_whitespace())
        .find_map(|word| FAMILIES.iter().find(|(_, members)| members.contains(&word)));
    match family {
        Some((family, _)) => Some((*family).to_owned()),
        None => own.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)).then_some(own),
    }
}

/// What the file says of a key, without quotes, in small letters.
fn value(text: &str, key: &str) -> Option<String> {
    let line =
        text.lines().rev().find_map(|line| line.trim().strip_prefix(key)?.strip_prefix('='))?;
    Some(line.trim().trim_matches(['"', '\'']).trim().to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distribution_is_known_by_its_own_word_or_by_whom_it_resembles() {
        for (text, expected) in [
            (
                "NAME=\"Rocky Linux\"\nID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n",
                Some("redhat"),
            ),
            ("ID=rhel\n", Some("redhat")),
            ("ID=\"ol\"\nID_LIKE=\"fedora\"\n", Some("redhat")),
            ("ID=ubuntu\nID_LIKE=debian\n", Some("ubuntu")),
            ("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n", Some("ubuntu")),
            ("ID=debian\n", Some("debian")),
            ("ID='opensuse-leap'\nID_LIKE='suse opensuse'\n", Some("opensuse")),
            ("ID=openEuler\n", Some("openeuler")),
            ("ID_LIKE=debian\n", None),
            ("ID=\"a b\"\n", None),
            ("", None),
        ] {
            let tree = tempfile::tempdir().unwrap();
            fs::create_dir_all(tree.path().join("usr/lib")).unwrap();
            fs::write(tree.path().join("usr/lib/os-release"), text).unwrap();
            assert_eq!(distribution(tree.path()).as_deref(), expected, "{text}");
            // As distributions have it.
            fs::create_dir(tree.path().join("etc")).unwrap();
            std::os::unix::fs::symlink("../usr/lib/os-release", tree.path().join("etc/os-release"))
                .unwrap();
            assert_eq!(distribution(tree.path()).as_deref(), expected, "{text}");
        }
        assert_eq!(distribution(Path::new("/no/such/tree")), None);
    }
}
