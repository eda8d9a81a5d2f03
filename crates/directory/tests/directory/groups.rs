//! Groups in an LDAP server.

use perilune_directory::{Error, GroupRequest, Kind, UserRequest};
use perilune_model::Saved;
use serde_json::json;

use crate::server::{directory, place, start};

fn group(gid: Option<u32>, members: Option<&[&str]>) -> GroupRequest {
    let members = members.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
    GroupRequest { gid, members }
}

#[tokio::test]
async fn a_group_is_made_shown_changed_and_removed() {
    let Some(server) = start() else { return };
    let groups = directory(place(&server));
    for user in ["alice", "bob"] {
        let request = UserRequest { gid: Some(100), ..UserRequest::default() };
        groups.save_user(user, &request).await.unwrap();
    }
    let saved = groups.save_group("gpu", &group(Some(2000), Some(&["alice"]))).await.unwrap();
    assert_eq!(saved, Saved::Created);
    let expected = json!({ "cn": "gpu", "gidNumber": "2000", "member": ["alice"] });
    assert_eq!(groups.show(Kind::Group, "gpu").await.unwrap(), expected);
    assert_eq!(groups.list(Kind::Group).await.unwrap().get("gpu"), Some(&expected));

    let saved = groups.save_group("gpu", &group(None, Some(&["bob", "alice"]))).await.unwrap();
    assert_eq!(saved, Saved::Updated);
    assert_eq!(groups.show(Kind::Group, "gpu").await.unwrap()["member"], json!(["alice", "bob"]));
    groups.save_group("gpu", &group(Some(2001), None)).await.unwrap();
    let shown = groups.show(Kind::Group, "gpu").await.unwrap();
    assert_eq!((&shown["gidNumber"], &shown["member"]), (&json!("2001"), &json!(["alice", "bob"])));
    groups.save_group("gpu", &group(None, Some(&[]))).await.unwrap();
    assert_eq!(groups.show(Kind::Group, "gpu").await.unwrap()["member"], json!([]));

    groups.remove(Kind::Group, "gpu").await.unwrap();
    assert!(groups.list(Kind::Group).await.unwrap().is_empty());
    let error = groups.remove(Kind::Group, "gpu").await.unwrap_err();
    assert!(matches!(error, Error::NotFound { kind: Kind::Group, .. }), "{error}");
}

#[tokio::test]
async fn numbers_are_unique_members_exist_and_first_groups_stay() {
    let Some(server) = start() else { return };
    let groups = directory(place(&server));
    groups.save_group("one", &group(None, None)).await.unwrap();
    groups.save_group("two", &group(None, None)).await.unwrap();
    assert_eq!(groups.show(Kind::Group, "two").await.unwrap()["gidNumber"], "1051");
    for name in ["one", "three"] {
        let error =
            groups.save_group(name, &group(Some(1051), None)).await.unwrap_err().to_string();
        assert_eq!(error, "gidNumber: 1051 is the number of the group 'two'");
    }
    let error =
        groups.save_group("one", &group(None, Some(&["ghost"]))).await.unwrap_err().to_string();
    assert_eq!(error, "member: there is no user 'ghost'");

    let request = UserRequest { gid: Some(1050), ..UserRequest::default() };
    groups.save_user("alice", &request).await.unwrap();
    let error = groups.remove(Kind::Group, "one").await.unwrap_err().to_string();
    assert!(error.contains("is the first group of the user 'alice'"), "{error}");
    groups.remove(Kind::Group, "two").await.unwrap();
}
