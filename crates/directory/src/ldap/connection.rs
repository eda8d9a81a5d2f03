//! One connection for one request: made, secured, logged in, and closed.
#![expect(clippy::disallowed_types, reason = "the LDAP client takes sets of values of this type")]

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ldap3::adapters::{Adapter, EntriesOnly, PagedResults};
use ldap3::exop::PasswordModify;
use ldap3::{LdapConnAsync, LdapConnSettings, LdapError, LdapResult, Mod, Scope, SearchEntry};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use super::Place;
use super::entry::Entry;
use crate::Error;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a whole request may take.
const REQUEST: Duration = Duration::from_secs(30);
/// Entries of one answer; servers have limits.
const PAGE: i32 = 500;
/// Result codes (RFC 4511, section 4.1.9).
const NO_SUCH_OBJECT: u32 = 32;

/// A connection that is logged in.
pub(super) struct Connection<'a> {
    pub(super) place: &'a Place,
    ldap: ldap3::Ldap,
}

/// Connects, does the work, and closes; within the time of one request.
pub(super) async fn run<T>(
    place: &Place,
    work: impl AsyncFnOnce(&mut Connection<'_>) -> Result<T, Error>,
) -> Result<T, Error> {
    let all = async {
        let mut settings = LdapConnSettings::new()
            .set_conn_timeout(CONNECT)
            .set_starttls(place.security.start_tls);
        let is_encrypted = place.security.start_tls || place.uri.starts_with("ldaps:");
        if let Some(file) = place.security.authorities.as_ref().filter(|_| is_encrypted) {
            settings = settings.set_config(believing(place, file)?);
        }
        let connected = LdapConnAsync::with_settings(settings, &place.uri).await;
        let (driver, ldap) = connected.map_err(|error| unreachable(place, &error))?;
        let mut connection = Connection { place, ldap };
        let session = async {
            connection.log_in().await?;
            let result = work(&mut connection).await;
            connection.ldap.unbind().await.ok();
            result
        };
        tokio::pin!(session);
        // The driver moves what the session says and is told; it ends by itself when the server goes away.
        tokio::select! {
            result = &mut session => result,
            ended = driver.drive() => match ended {
                Ok(()) => session.await,
                Err(error) => Err(unreachable(place, &error)),
            },
        }
    };
    match tokio::time::timeout(REQUEST, all).await {
        Ok(result) => result,
        Err(_) => {
            let what = format!("the LDAP server {}", place.uri);
            Err(Error::TimedOut { what, seconds: REQUEST.as_secs() })
        }
    }
}

impl Connection<'_> {
    async fn log_in(&mut self) -> Result<(), Error> {
        let Some(name) = &self.place.bind_name else { return Ok(()) };
        let password = match &self.place.password_file {
            None => String::new(),
            Some(file) => tokio::fs::read_to_string(file).await.map_err(|error| {
                let reason = format!("its password in {} cannot be read: {error}", file.display());
                Error::Unreachable { server: self.place.uri.clone(), reason }
            })?,
        };
        let password = password.trim_end_matches(['\n', '\r']);
        let bound = self.ldap.simple_bind(name, password).await;
        let bound = bound.map_err(|error| unreachable(self.place, &error))?;
        if bound.rc == 0 {
            return Ok(());
        }
        let reason = format!("it does not let {name} in ({})", said(&bound));
        Err(Error::Unreachable { server: self.place.uri.clone(), reason })
    }

    /// The entries below a base, with all their attributes. A base that is not there has none.
    pub(super) async fn search(&mut self, base: &str, filter: &str) -> Result<Vec<Entry>, Error> {
        let adapters: Vec<Box<dyn Adapter<_, _>>> =
            vec![Box::new(EntriesOnly::new()), Box::new(PagedResults::new(PAGE))];
        let failed = |error: LdapError| unreachable(self.place, &error);
        let found = self
            .ldap
            .streaming_search_with(adapters, base, Scope::Subtree, filter, vec!["*"])
            .await;
        let mut stream = found.map_err(failed)?;
        let mut entries = Vec::new();
        while let Some(entry) = stream.next().await.map_err(failed)? {
            entries.push(Entry::of(SearchEntry::construct(entry)));
        }
        match stream.finish().await {
            result if result.rc == 0 || result.rc == NO_SUCH_OBJECT => Ok(entries),
            result => Err(Error::Refused(said(&result))),
        }
    }

    pub(super) async fn add(
        &mut self,
        name: &str,
        attributes: Vec<(&str, Vec<String>)>,
    ) -> Result<(), Error> {
        let attributes = attributes
            .into_iter()
            .filter(|(_, values)| !values.is_empty())
            .map(|(attribute, values)| (attribute.to_owned(), set(values)))
            .collect();
        let result = self.ldap.add(name, attributes).await;
        self.judge(result)
    }

    /// Gives attributes new values; an attribute without values goes.
    pub(super) async fn replace(
        &mut self,
        name: &str,
        attributes: Vec<(&str, Vec<String>)>,
    ) -> Result<(), Error> {
        if attributes.is_empty() {
            return Ok(());
        }
        let changes = attributes
            .into_iter()
            .map(|(attribute, values)| Mod::Replace(attribute.to_owned(), set(values)))
            .collect();
        let result = self.ldap.modify(name, changes).await;
        self.judge(result)
    }

    /// Adds a value to an attribute, or takes it away.
    pub(super) async fn set_value(
        &mut self,
        name: &str,
        attribute: &str,
        value: &str,
        present: bool,
    ) -> Result<(), Error> {
        let values = set(vec![value.to_owned()]);
        let attribute = attribute.to_owned();
        let change =
            if present { Mod::Add(attribute, values) } else { Mod::Delete(attribute, values) };
        let result = self.ldap.modify(name, vec![change]).await;
        self.judge(result)
    }

    pub(super) async fn delete(&mut self, name: &str) -> Result<(), Error> {
        let result = self.ldap.delete(name).await;
        self.judge(result)
    }

    /// Sets a password; the server hashes it as it is configured to (RFC 3062).
    pub(super) async fn set_password(&mut self, name: &str, password: &str) -> Result<(), Error> {
        let change =
            PasswordModify { user_id: Some(name), old_pass: None, new_pass: Some(password) };
        let result = self.ldap.extended(change).await;
        self.judge(result.map(|ldap3::result::ExopResult(_, result)| result))
    }

    fn judge(&self, result: Result<LdapResult, LdapError>) -> Result<(), Error> {
        match result {
            Ok(result) if result.rc == 0 => Ok(()),
            Ok(result) => Err(Error::Refused(said(&result))),
            Err(error) => Err(unreachable(self.place, &error)),
        }
    }
}

fn set(values: Vec<String>) -> HashSet<String> {
    values.into_iter().collect()
}

/// What the server says about a result that is no success.
fn said(result: &LdapResult) -> String {
    let name = match result.rc {
        16 => "no such attribute",
        17 => "undefined attribute type",
        19 => "constraint violation",
        20 => "attribute or value exists",
        21 => "invalid attribute syntax",
        32 => "no such object",
        34 => "invalid name",
        49 => "invalid credentials",
        50 => "insufficient access rights",
        53 => "unwilling to perform",
        65 => "object class violation",
        68 => "entry already exists",
        _ => "refused",
    };
    let text: String = result.text.chars().filter(|c| !c.is_control()).take(300).collect();
    let code = result.rc;
    if text.is_empty() { format!("{name}, {code}") } else { format!("{name}, {code}: {text}") }
}

fn unreachable(place: &Place, error: &LdapError) -> Error {
    Error::Unreachable { server: place.uri.clone(), reason: error.to_string() }
}

/// A client that believes the authorities of a file, and nobody else.
fn believing(place: &Place, file: &Path) -> Result<Arc<ClientConfig>, Error> {
    let unusable = |reason: String| Error::Unreachable {
        server: place.uri.clone(),
        reason: format!("the certificates in {} cannot be used: {reason}", file.display()),
    };
    let mut roots = RootCertStore::empty();
    for certificate in
        CertificateDer::pem_file_iter(file).map_err(|error| unusable(error.to_string()))?
    {
        let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
        roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(unusable("there is none".to_owned()));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let configuration = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(configuration))
}
