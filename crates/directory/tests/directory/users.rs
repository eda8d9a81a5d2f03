//! Users in an LDAP server.

use perilune_directory::{Error, GroupRequest, Kind, UserRequest};
use perilune_model::Saved;
use serde_json::json;

use crate::server::{can_log_in, directory, place, start};

fn alice() -> UserRequest {
    UserRequest {
        password: Some("pa'ss\"wörd, =+<>#;\\".to_owned()),
        surname: Some("Smith".to_owned()),
        given_name: Some("Alice".to_owned()),
        mail: Some("alice@example.org".to_owned()),
        telephone: Some("+49 89 1234".to_owned()),
        expire: Some(20_000),
        ..UserRequest::default()
    }
}

#[tokio::test]
async fn a_user_is_made_shown_changed_and_removed() {
    let Some(server) = start() else { return };
    let users = directory(place(&server));
    assert_eq!(users.save_user("alice", &alice()).await.unwrap(), Saved::Created);
    let expected = json!({
        "cn": "Alice Smith", "gidNumber": "1050", "givenName": "Alice", "homeDirectory": "/home/alice", "loginShell": "/bin/bash",
        "mail": "alice@example.org", "shadowExpire": "20000", "sn": "Smith", "telephoneNumber": "+49 89 1234", "uid": "alice",
        "uidNumber": "1050", "memberOf": [],
    });
    assert_eq!(users.show(Kind::User, "alice").await.unwrap(), expected);
    assert_eq!(users.list(Kind::User).await.unwrap().get("alice"), Some(&expected));
    assert!(can_log_in(&server, "alice", "pa'ss\"wörd, =+<>#;\\").await);
    assert!(!can_log_in(&server, "alice", "guessed").await);

    let change = UserRequest {
        surname: Some("Jones".to_owned()),
        mail: Some(String::new()),
        shell: Some("/bin/zsh".to_owned()),
        password: Some("new".to_owned()),
        ..UserRequest::default()
    };
    assert_eq!(users.save_user("alice", &change).await.unwrap(), Saved::Updated);
    let shown = users.show(Kind::User, "alice").await.unwrap();
    assert_eq!(
        (&shown["cn"], &shown["sn"], &shown["loginShell"]),
        (&json!("Alice Jones"), &json!("Jones"), &json!("/bin/zsh"))
    );
    assert_eq!((shown.get("mail"), &shown["uidNumber"]), (None, &json!("1050")));
    assert!(can_log_in(&server, "alice", "new").await);

    users.remove(Kind::User, "alice").await.unwrap();
    for kind in [Kind::User, Kind::Group] {
        assert!(users.list(kind).await.unwrap().is_empty(), "its own group goes with it");
    }
    let error = users.remove(Kind::User, "alice").await.unwrap_err();
    assert!(matches!(error, Error::NotFound { kind: Kind::User, .. }), "{error}");
    assert!(matches!(users.show(Kind::User, "alice").await, Err(Error::NotFound { .. })));
}

#[tokio::test]
async fn numbers_are_given_one_after_the_other_however_many_ask_at_once() {
    let Some(server) = start() else { return };
    let users = directory(place(&server));
    let nothing = UserRequest::default();
    let (a, b, c) = tokio::join!(
        users.save_user("a", &nothing),
        users.save_user("b", &nothing),
        users.save_user("c", &nothing)
    );
    assert!(a.is_ok() && b.is_ok() && c.is_ok());
    let mut numbers: Vec<String> = users
        .list(Kind::User)
        .await
        .unwrap()
        .values()
        .map(|user| user["uidNumber"].as_str().unwrap().to_owned())
        .collect();
    numbers.sort();
    assert_eq!(numbers, ["1050", "1051", "1052"]);

    let taken = UserRequest { uid: Some(1051), ..UserRequest::default() };
    let error = users.save_user("d", &taken).await.unwrap_err().to_string();
    assert!(error.starts_with("uidNumber: 1051 is the number of the user '"), "{error}");
    let own = UserRequest { uid: Some(7000), gid: Some(100), ..UserRequest::default() };
    users.save_user("d", &own).await.unwrap();
    assert_eq!(users.list(Kind::Group).await.unwrap().len(), 3, "who has a group needs none");
    users.save_user("e", &nothing).await.unwrap();
    assert_eq!(users.show(Kind::User, "e").await.unwrap()["uidNumber"], "7001");
}

#[tokio::test]
async fn memberships_are_exactly_those_that_are_asked_for() {
    let Some(server) = start() else { return };
    let users = directory(place(&server));
    for group in ["users", "gpu", "wheel"] {
        users.save_group(group, &GroupRequest::default()).await.unwrap();
    }
    let member = |names: &[&str]| UserRequest {
        groups: Some(names.iter().map(|name| (*name).to_owned()).collect()),
        ..UserRequest::default()
    };
    users.save_user("bob", &member(&["users", "gpu"])).await.unwrap();
    assert_eq!(users.show(Kind::User, "bob").await.unwrap()["memberOf"], json!(["gpu", "users"]));
    users.save_user("bob", &member(&["wheel", "users"])).await.unwrap();
    assert_eq!(users.show(Kind::User, "bob").await.unwrap()["memberOf"], json!(["users", "wheel"]));
    let error =
        users.save_user("bob", &member(&["users", "nobody"])).await.unwrap_err().to_string();
    assert_eq!(error, "memberOf: there is no group 'nobody'");
    assert_eq!(users.show(Kind::User, "bob").await.unwrap()["memberOf"], json!(["users", "wheel"]));
    let error = users.save_user("carol", &member(&["nobody"])).await.unwrap_err();
    assert!(
        matches!(error, Error::Invalid { .. }) && users.show(Kind::User, "carol").await.is_err()
    );

    users.save_user("bob", &member(&[])).await.unwrap();
    assert_eq!(users.show(Kind::User, "bob").await.unwrap()["memberOf"], json!([]));
    users.save_user("bob", &member(&["gpu"])).await.unwrap();
    users.remove(Kind::User, "bob").await.unwrap();
    assert_eq!(users.show(Kind::Group, "gpu").await.unwrap()["member"], json!([]));
}

#[tokio::test]
async fn names_cannot_leave_their_place_in_filters_and_trees() {
    let Some(server) = start() else { return };
    let users = directory(place(&server));
    users.save_user("alice", &UserRequest::default()).await.unwrap();
    for name in ["*", "ali*", "alice)(uid=*", "alice,ou=People", "\\2a", "x+cn=y"] {
        let shown = users.show(Kind::User, name).await;
        assert!(matches!(shown, Err(Error::NotFound { .. })), "{name}: {shown:?}");
        let removed = users.remove(Kind::User, name).await;
        assert!(matches!(removed, Err(Error::NotFound { .. })), "{name}: {removed:?}");
    }
    users.save_user("comma,plus+name", &UserRequest::default()).await.unwrap();
    assert_eq!(users.show(Kind::User, "comma,plus+name").await.unwrap()["uid"], "comma,plus+name");
    assert_eq!(users.list(Kind::User).await.unwrap().len(), 2);
}

#[tokio::test]
async fn more_users_than_a_page_are_listed_in_the_order_of_their_names() {
    let Some(server) = start() else { return };
    let users = directory(place(&server));
    for number in 0..620 {
        let request =
            UserRequest { uid: Some(2000 + number), gid: Some(100), ..UserRequest::default() };
        users.save_user(&format!("user{number:03}"), &request).await.unwrap();
    }
    let listed = users.list(Kind::User).await.unwrap();
    assert_eq!(listed.len(), 620);
    assert_eq!(listed.keys().next().map(String::as_str), Some("user000"));
}
