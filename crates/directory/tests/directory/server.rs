//! The server, the ways to it, and what happens when it is not there.

use std::fs;
use std::path::PathBuf;

use perilune_directory::{Directory, Error, Kind, Ldap, Place, Security, UserRequest};
use perilune_model::Saved;
use perilune_testkit::slapd::{ADMINISTRATOR, BASE, Slapd};

/// A server with a certificate for `localhost`; none where the distribution has none.
pub(crate) fn start() -> Option<Slapd> {
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    Slapd::start(&cert.pem(), &signing_key.serialize_pem())
}

pub(crate) fn place(server: &Slapd) -> Place {
    Place {
        uri: server.plain(),
        users: format!("ou=People,{BASE}"),
        groups: format!("ou=Group,{BASE}"),
        bind_name: Some(ADMINISTRATOR.to_owned()),
        password_file: Some(server.password_file()),
        security: Security { start_tls: false, authorities: None },
        first_number: 1050,
    }
}

pub(crate) fn directory(place: Place) -> Directory {
    Directory::Ldap(Box::new(Ldap::new(place)))
}

/// Whether a user can log in with a password.
pub(crate) async fn can_log_in(server: &Slapd, user: &str, password: &str) -> bool {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), password).unwrap();
    let own = Place {
        bind_name: Some(format!("uid={user},ou=People,{BASE}")),
        password_file: Some(file.path().to_owned()),
        ..place(server)
    };
    match directory(own).list(Kind::User).await {
        Ok(_) => true,
        Err(Error::Unreachable { reason, .. }) => {
            assert!(reason.contains("invalid credentials"), "{reason}");
            false
        }
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn the_way_there_can_be_secured_and_strangers_certificates_are_not_believed() {
    let Some(server) = start() else { return };
    let secured = |uri: String, start_tls: bool, authorities: Option<PathBuf>| {
        directory(Place { uri, security: Security { start_tls, authorities }, ..place(&server) })
    };
    let certificate = Some(server.certificate());
    let by_tls = secured(server.encrypted(), false, certificate.clone());
    let saved = by_tls.save_user("alice", &UserRequest::default()).await.unwrap();
    assert_eq!(saved, Saved::Created);
    let turned = secured(server.plain(), true, certificate);
    assert_eq!(turned.list(Kind::User).await.unwrap().len(), 1);

    let rcgen::CertifiedKey { cert, .. } =
        rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let other = tempfile::NamedTempFile::new().unwrap();
    fs::write(other.path(), cert.pem()).unwrap();
    for (uri, start_tls) in [(server.encrypted(), false), (server.plain(), true)] {
        for authorities in [Some(other.path().to_owned()), None] {
            let stranger = secured(uri.clone(), start_tls, authorities);
            let error = stranger.list(Kind::User).await.unwrap_err();
            assert!(matches!(error, Error::Unreachable { .. }), "{error}");
            assert!(error.to_string().contains("certificate"), "{error}");
        }
    }
    let nothing = secured(server.encrypted(), false, Some(server.password_file()));
    let error = nothing.list(Kind::User).await.unwrap_err().to_string();
    assert!(error.contains("cannot be used: there is none"), "{error}");
}

#[tokio::test]
async fn a_server_that_is_gone_or_lets_nobody_in_is_named() {
    let Some(mut server) = start() else { return };
    let wrong = tempfile::NamedTempFile::new().unwrap();
    fs::write(wrong.path(), "guessed").unwrap();
    let refused = Place { password_file: Some(wrong.path().to_owned()), ..place(&server) };
    let error = directory(refused).list(Kind::User).await.unwrap_err().to_string();
    assert!(
        error.contains("does not let cn=admin,dc=cluster in (invalid credentials, 49"),
        "{error}"
    );
    assert!(!error.contains("guessed"), "{error}");

    let unreadable = Place { password_file: Some("/nonexistent".into()), ..place(&server) };
    let error = directory(unreadable).list(Kind::User).await.unwrap_err().to_string();
    assert!(error.contains("/nonexistent cannot be read"), "{error}");

    let users = directory(place(&server));
    assert!(users.list(Kind::User).await.unwrap().is_empty());
    server.stop();
    let error = users.list(Kind::User).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains(&server.plain()), "{error}");
}

#[tokio::test]
async fn who_may_only_read_is_told_that_writing_is_refused() {
    let Some(server) = start() else { return };
    let request = UserRequest { password: Some("reader".to_owned()), ..UserRequest::default() };
    directory(place(&server)).save_user("reader", &request).await.unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "reader\n").unwrap();
    let reader = directory(Place {
        bind_name: Some(format!("uid=reader,ou=People,{BASE}")),
        password_file: Some(file.path().to_owned()),
        ..place(&server)
    });
    assert_eq!(reader.list(Kind::User).await.unwrap().len(), 1);
    let error = reader.save_user("other", &UserRequest::default()).await.unwrap_err();
    assert!(matches!(error, Error::Refused(_)), "{error}");
    assert!(error.to_string().contains("insufficient access rights"), "{error}");
}
