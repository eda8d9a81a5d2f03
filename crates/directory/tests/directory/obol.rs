//! What the program is asked, word by word. A script stands for it, and writes down its arguments.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use perilune_directory::{Directory, Error, GroupRequest, Kind, Obol, UserRequest};
use perilune_model::Saved;
use serde_json::json;

/// Knows alice and the group users; refuses whoever is called `refused`; takes its time for `slow`.
const SCRIPT: &str = r#"#!/bin/sh
here=$(dirname "$0")
for argument in "$@"; do printf '[%s]' "$argument"; done >>"$here/asked"
echo >>"$here/asked"
[ "$1" = -J ] && shift
case "$1 $2 $3" in
    "user show alice") echo '{"uid": "alice", "memberOf": ["users"]}' ;;
    "user show slow") sleep 60 ;;
    "user show garbage") echo 'Traceback' ;;
    "user show empty") ;;
    "group show users") echo '{"cn": "users", "gidNumber": "1000"}' ;;
    "user list ") echo '{"zoe": {"uid": "zoe"}, "alice": {"uid": "alice"}}' ;;
    "group list ") ;;
    *" show "*) echo "no such thing" >&2; exit 1 ;;
    *" refused") echo "first line" >&2; echo "cannot do: $*" >&2; exit 3 ;;
esac
"#;

struct Fake {
    directory: tempfile::TempDir,
    obol: Directory,
}

fn fake() -> Fake {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("obol");
    fs::write(&program, SCRIPT).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let obol = Obol::new(program).with_deadline(Duration::from_secs(2));
    Fake { directory, obol: Directory::Obol(obol) }
}

impl Fake {
    fn asked(&self) -> Vec<String> {
        let asked = self.directory.path().join("asked");
        fs::read_to_string(asked).unwrap_or_default().lines().map(str::to_owned).collect()
    }
}

#[tokio::test]
async fn what_it_prints_is_handed_on_as_it_is() {
    let fake = fake();
    let listed = fake.obol.list(Kind::User).await.unwrap();
    assert_eq!(listed.keys().collect::<Vec<_>>(), ["zoe", "alice"], "the order is the program's");
    assert_eq!(
        fake.obol.show(Kind::User, "alice").await.unwrap(),
        json!({ "uid": "alice", "memberOf": ["users"] })
    );
    assert!(fake.obol.list(Kind::Group).await.unwrap().is_empty());
    assert_eq!(fake.asked(), ["[-J][user][list]", "[-J][user][show][alice]", "[-J][group][list]"]);
}

#[tokio::test]
async fn every_field_becomes_its_option_and_no_shell_reads_it() {
    let fake = fake();
    let request = UserRequest {
        password: Some("p'a\"s s$(id);`id`".to_owned()),
        surname: Some("O'Neil".to_owned()),
        given_name: Some("Éa".to_owned()),
        uid: Some(1050),
        gid: Some(1051),
        mail: Some("a@b".to_owned()),
        telephone: Some("1".to_owned()),
        shell: Some("/bin/sh".to_owned()),
        groups: Some(vec!["users".to_owned(), "gpu".to_owned()]),
        expire: Some(-1),
        home: Some("/home/x".to_owned()),
    };
    assert_eq!(fake.obol.save_user("bob", &request).await.unwrap(), Saved::Created);
    assert_eq!(
        fake.asked(),
        [
            "[-J][user][show][bob]",
            "[user][add][bob][--password][p'a\"s s$(id);`id`][--sn][O'Neil][--givenName][Éa][--uid][1050][--gid][1051][--mail][a@b]\
             [--phone][1][--shell][/bin/sh][--groups][users,gpu][--expire=-1][--home][/home/x]",
        ]
    );
}

#[tokio::test]
async fn who_is_there_is_changed_and_an_empty_list_is_an_empty_value() {
    let fake = fake();
    let request = UserRequest {
        shell: Some("/bin/zsh".to_owned()),
        password: Some("--help".to_owned()),
        ..UserRequest::default()
    };
    assert_eq!(fake.obol.save_user("alice", &request).await.unwrap(), Saved::Updated);
    let request = GroupRequest { gid: Some(5), members: Some(Vec::new()) };
    assert_eq!(fake.obol.save_group("users", &request).await.unwrap(), Saved::Updated);
    fake.obol.remove(Kind::Group, "users").await.unwrap();
    assert_eq!(
        fake.asked(),
        [
            "[-J][user][show][alice]",
            "[user][modify][alice][--password=--help][--shell][/bin/zsh]",
            "[-J][group][show][users]",
            "[group][modify][users][--gid][5][--users][]",
            "[group][delete][users]",
        ]
    );
}

#[tokio::test]
async fn a_name_that_looks_like_an_option_never_reaches_it() {
    let fake = fake();
    for name in ["--help", "-J", "", "a\nb"] {
        let shown = fake.obol.show(Kind::User, name).await;
        assert!(matches!(shown, Err(Error::NotFound { .. })), "{name:?}: {shown:?}");
        assert!(fake.obol.save_user(name, &UserRequest::default()).await.is_err(), "{name:?}");
        assert!(fake.obol.remove(Kind::Group, name).await.is_err(), "{name:?}");
    }
    assert!(fake.asked().is_empty(), "{:?}", fake.asked());
}

#[tokio::test]
async fn its_failure_is_told_without_the_password() {
    let fake = fake();
    for password in ["Geheim", "-Geheim"] {
        let request = UserRequest { password: Some(password.to_owned()), ..UserRequest::default() };
        let error = fake.obol.save_user("refused", &request).await.unwrap_err();
        assert!(matches!(error, Error::Failed { .. }), "{error}");
        let message = error.to_string();
        assert!(
            message.ends_with("cannot do: user add refused --password ******")
                || message.ends_with("--password=******"),
            "{message}"
        );
        assert!(!format!("{error:?} {request:?}").contains("Geheim"), "{error:?}");
    }
    let error = fake.obol.show(Kind::User, "nobody").await.unwrap_err().to_string();
    assert!(error.ends_with("user show nobody failed: no such thing"), "{error}");
}

#[tokio::test]
async fn one_that_hangs_prints_rubbish_or_is_not_there_is_told_of() {
    let fake = fake();
    let error = fake.obol.show(Kind::User, "slow").await.unwrap_err();
    assert!(matches!(error, Error::TimedOut { seconds: 2, .. }), "{error}");
    let error = fake.obol.show(Kind::User, "garbage").await.unwrap_err();
    assert!(matches!(error, Error::Malformed { .. }), "{error}");
    let error = fake.obol.show(Kind::User, "empty").await.unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error}");

    let absent = Directory::Obol(Obol::new(Path::new("/nonexistent/obol").to_owned()));
    let error = absent.list(Kind::User).await.unwrap_err();
    assert!(matches!(error, Error::NotInstalled(_)), "{error}");
    assert!(error.to_string().contains("[OSUSER] in luna.ini"), "{error}");
}
