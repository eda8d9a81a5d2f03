//! Users and groups of the cluster's operating systems: in a directory, or behind the site's own program.

use std::time::Duration;

use perilune_directory::{Directory, Entries, Error, GroupRequest, Kind, Ldap, Obol, UserRequest};
use perilune_model::Saved;
use perilune_program::Limits;
use serde_json::{Value, json};

use crate::config::DirectoryChoice;
use crate::plugins::Runner;

/// The program: `osuser/default` below the plugins' directory, or the Python file that an existing site has changed.
const KIND: &str = "osuser";
const NAMES: [&str; 2] = ["default", "obol"];
/// A site may have many users.
const LIMITS: Limits = Limits::of(Duration::from_secs(30), 64 << 20);
/// As much is shown of why it failed.
const LONGEST_REASON: usize = 300;

/// Where users and groups are.
#[derive(Debug)]
pub enum OsUsers {
    Directory(Directory),
    Program(Runner),
}

impl OsUsers {
    /// What the configuration says.
    pub(crate) fn open(choice: &DirectoryChoice, runner: &Runner) -> Self {
        match choice {
            DirectoryChoice::Obol(program) => {
                Self::Directory(Directory::Obol(Obol::new(program.clone())))
            }
            DirectoryChoice::Ldap(place) => {
                Self::Directory(Directory::Ldap(Box::new(Ldap::new(place.clone()))))
            }
            DirectoryChoice::Plugin => Self::Program(runner.clone()),
        }
    }

    /// All users, or all groups.
    pub async fn list(&self, kind: Kind) -> Result<Entries, Error> {
        let runner = match self {
            Self::Directory(directory) => return directory.list(kind).await,
            Self::Program(runner) => runner,
        };
        match ask(runner, kind, "list", json!({})).await? {
            Value::Object(entries) => Ok(entries),
            Value::Null => Ok(Entries::new()),
            _ => Err(Error::Malformed { program: title(kind, "list") }),
        }
    }

    /// One of them, with its attributes.
    pub async fn show(&self, kind: Kind, name: &str) -> Result<Value, Error> {
        match self {
            Self::Directory(directory) => directory.show(kind, name).await,
            Self::Program(runner) => {
                let missing = || Error::NotFound { kind, name: name.to_owned() };
                find(runner, kind, name).await?.ok_or_else(missing)
            }
        }
    }

    /// Changes a user; makes one where there is none of this name.
    pub async fn save_user(&self, name: &str, request: &UserRequest) -> Result<Saved, Error> {
        match self {
            Self::Directory(directory) => directory.save_user(name, request).await,
            Self::Program(runner) => {
                let asked = json!({
                    "userPassword": request.password, "sn": request.surname, "givenName": request.given_name,
                    "uidNumber": request.uid, "gidNumber": request.gid, "mail": request.mail, "telephoneNumber": request.telephone,
                    "loginShell": request.shell, "memberOf": request.groups, "shadowExpire": request.expire, "homeDirectory": request.home,
                });
                save(runner, Kind::User, name, asked).await
            }
        }
    }

    /// Changes a group; makes one where there is none of this name.
    pub async fn save_group(&self, name: &str, request: &GroupRequest) -> Result<Saved, Error> {
        match self {
            Self::Directory(directory) => directory.save_group(name, request).await,
            Self::Program(runner) => {
                let asked = json!({ "gidNumber": request.gid, "member": request.members });
                save(runner, Kind::Group, name, asked).await
            }
        }
    }

    /// Removes one.
    pub async fn remove(&self, kind: Kind, name: &str) -> Result<(), Error> {
        let runner = match self {
            Self::Directory(directory) => return directory.remove(kind, name).await,
            Self::Program(runner) => runner,
        };
        if find(runner, kind, name).await?.is_none() {
            return Err(Error::NotFound { kind, name: name.to_owned() });
        }
        ask(runner, kind, "delete", json!({ "name": name })).await.map(drop)
    }
}

/// An entry, if there is one: a program answers nothing, or an empty object, where there is none.
async fn find(runner: &Runner, kind: Kind, name: &str) -> Result<Option<Value>, Error> {
    match ask(runner, kind, "get", json!({ "name": name })).await? {
        Value::Null => Ok(None),
        Value::Object(entry) if entry.is_empty() => Ok(None),
        Value::Object(entry) => Ok(Some(Value::Object(entry))),
        _ => Err(Error::Malformed { program: title(kind, "get") }),
    }
}

async fn save(runner: &Runner, kind: Kind, name: &str, mut asked: Value) -> Result<Saved, Error> {
    let is_there = find(runner, kind, name).await?.is_some();
    if let Some(asked) = asked.as_object_mut() {
        // What nobody asked for is not there, so that it stays as it is.
        asked.retain(|_, value| !value.is_null());
    }
    ask(runner, kind, "update", json!({ "name": name, "data": asked })).await?;
    Ok(if is_there { Saved::Updated } else { Saved::Created })
}

/// Passwords go in on standard input, where no other user of the machine sees them.
async fn ask(runner: &Runner, kind: Kind, verb: &str, mut question: Value) -> Result<Value, Error> {
    let operation = match (kind, verb) {
        (_, "list") => format!("list_{}s", kind.word()),
        _ => format!("{verb}_{}", kind.word()),
    };
    let Some(program) = runner.find_working(KIND, &NAMES.map(str::to_owned)) else {
        return Err(Error::NotInstalled(format!(
            "{KIND}/default of the plugins ([OSUSER] DRIVER = plugin)"
        )));
    };
    if let Some(question) = question.as_object_mut() {
        question.insert("plugin".to_owned(), KIND.into());
        question.insert("operation".to_owned(), operation.into());
    }
    let answer = runner.work(&program, &question, LIMITS).await;
    let password = question.pointer("/data/userPassword").and_then(Value::as_str);
    let failed = |reason: &str| {
        // No message holds a password, whatever the program says.
        let reason = match password.filter(|password| !password.is_empty()) {
            Some(password) => reason.replace(password, "******"),
            None => reason.to_owned(),
        };
        let reason = reason.chars().filter(|c| !c.is_control()).take(LONGEST_REASON).collect();
        Error::Failed { program: title(kind, verb), reason }
    };
    let answer = answer.map_err(|reason| failed(&reason))?;
    match answer.get("error").and_then(Value::as_str) {
        // An entry has attributes of its own names; a list has names of entries.
        Some(reason) if verb != "list" => Err(failed(reason)),
        _ => Ok(answer),
    }
}

fn title(kind: Kind, verb: &str) -> String {
    format!("{KIND}/default {} {verb}", kind.word())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    use super::*;

    fn users(plugins: &Path, program: &str) -> OsUsers {
        let path = plugins.join("osuser/default");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, program).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let runner = Runner::new(Some(plugins.to_owned()), "/usr/bin/python3".into(), None);
        OsUsers::open(&DirectoryChoice::Plugin, &runner)
    }

    /// Keeps users and groups in a file.
    const KEEPS: &str = r#"#!/usr/bin/python3
import json, os, sys
told = json.load(sys.stdin)
verb, kind = told["operation"].split("_")
kind = kind.rstrip("s")
path = os.path.join(os.path.dirname(sys.argv[0]), kind)
kept = json.load(open(path)) if os.path.exists(path) else {}
if verb == "list":
    print(json.dumps(kept))
elif verb == "get":
    print(json.dumps(kept.get(told["name"])))
else:
    if verb == "update":
        kept.setdefault(told["name"], {}).update(told["data"])
    else:
        del kept[told["name"]]
    json.dump(kept, open(path, "w"))
"#;

    #[tokio::test]
    async fn users_and_groups_are_made_changed_and_removed_by_the_sites_program() {
        let directory = tempfile::tempdir().unwrap();
        let users = users(directory.path(), KEEPS);
        assert_eq!(users.list(Kind::User).await.unwrap(), Entries::new());
        let missing = users.show(Kind::User, "eva").await.unwrap_err();
        assert!(matches!(missing, Error::NotFound { .. }), "{missing}");
        let eva = UserRequest {
            uid: Some(1050),
            home: Some("/home/eva".to_owned()),
            ..UserRequest::default()
        };
        assert_eq!(users.save_user("eva", &eva).await.unwrap(), Saved::Created);
        let moved = UserRequest { home: Some("/h/eva".to_owned()), ..UserRequest::default() };
        assert_eq!(users.save_user("eva", &moved).await.unwrap(), Saved::Updated);
        let shown = users.show(Kind::User, "eva").await.unwrap();
        assert_eq!(shown, json!({ "uidNumber": 1050, "homeDirectory": "/h/eva" }));
        let members = GroupRequest { gid: None, members: Some(vec!["eva".to_owned()]) };
        assert_eq!(users.save_group("error", &members).await.unwrap(), Saved::Created);
        assert_eq!(users.list(Kind::Group).await.unwrap().len(), 1, "no name is special");
        users.remove(Kind::Group, "error").await.unwrap();
        assert!(users.remove(Kind::Group, "error").await.is_err());
    }

    #[tokio::test]
    async fn a_python_file_of_an_existing_site_keeps_users() {
        let directory = tempfile::tempdir().unwrap();
        let class = r#"
KEPT = FILE
import json, os
class Plugin:
    def load(self):
        return json.load(open(KEPT)) if os.path.exists(KEPT) else {}
    def save(self, all):
        json.dump(all, open(KEPT, "w"))
    def list_users(self):
        return True, self.load()
    def get_user(self, name):
        return (True, self.load()[name]) if name in self.load() else (True, None)
    def update_user(self, name, uidNumber=None, homeDirectory=None):
        self.save({**self.load(), name: {"uidNumber": uidNumber, "homeDirectory": homeDirectory}})
        return True, "user is saved"
    def delete_user(self, name):
        return False, f"{name} stays"
    def get_group(self, name):
        return True, {}
    def update_group(self, name, data):
        return True, None
"#;
        let kept = directory.path().join("kept");
        let class = class.replace("FILE", &format!("{:?}", kept.to_str().unwrap()));
        fs::create_dir_all(directory.path().join("osuser")).unwrap();
        fs::write(directory.path().join("osuser/default.py"), class).unwrap();
        let runner =
            Runner::new(Some(directory.path().to_owned()), "/usr/bin/python3".into(), None);
        let users = OsUsers::open(&DirectoryChoice::Plugin, &runner);
        assert_eq!(users.list(Kind::User).await.unwrap(), Entries::new());
        let eva = UserRequest {
            uid: Some(1050),
            home: Some("/home/eva".to_owned()),
            ..UserRequest::default()
        };
        assert_eq!(users.save_user("eva", &eva).await.unwrap(), Saved::Created);
        assert_eq!(users.save_user("eva", &eva).await.unwrap(), Saved::Updated);
        let shown = users.show(Kind::User, "eva").await.unwrap();
        assert_eq!(shown, json!({ "uidNumber": 1050, "homeDirectory": "/home/eva" }));
        assert_eq!(users.list(Kind::User).await.unwrap().len(), 1);
        let stays = users.remove(Kind::User, "eva").await.unwrap_err().to_string();
        assert!(stays.contains("eva stays"), "{stays}");
        let members = GroupRequest { gid: Some(7), members: None };
        assert_eq!(users.save_group("staff", &members).await.unwrap(), Saved::Created);
        let none = users.list(Kind::Group).await.unwrap_err().to_string();
        assert!(none.contains("has no method list_groups"), "{none}");
    }

    #[tokio::test]
    async fn a_program_that_lies_fails_or_is_missing_is_told_and_no_password_is_shown() {
        let directory = tempfile::tempdir().unwrap();
        let secret =
            UserRequest { password: Some("s3cret-word".to_owned()), ..UserRequest::default() };
        for (program, expected) in [
            ("#!/bin/sh\necho '[1]'\n", "no JSON"),
            ("#!/bin/sh\necho nonsense\n", "its answer is no JSON"),
            ("#!/bin/sh\necho '{\"error\": \"no server\"}'\n", "no server"),
            ("#!/bin/sh\ncat >&2\nexit 1\n", "it failed"),
            (
                "#!/bin/sh\nq=$(cat)\ncase $q in *get_user*) exit;; esac\necho \"$q\" >&2; exit 1\n",
                "******",
            ),
        ] {
            let users = users(directory.path(), program);
            let error = users.save_user("eva", &secret).await.unwrap_err().to_string();
            assert!(error.contains(expected), "{program}: {error}");
            assert!(!error.contains("s3cret"), "{program}: {error}");
        }
        fs::remove_file(directory.path().join("osuser/default")).unwrap();
        let runner =
            Runner::new(Some(directory.path().to_owned()), "/usr/bin/python3".into(), None);
        let nobody = OsUsers::open(&DirectoryChoice::Plugin, &runner);
        let error = nobody.list(Kind::User).await.unwrap_err().to_string();
        assert!(error.contains("osuser/default"), "{error}");
    }
}
