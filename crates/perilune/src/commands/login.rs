//! `perilune login` and `perilune logout`

use clap::Args;
use console::Term;
use perilune::client::Client;
use perilune::client::access::{Access, Credentials, Options, Surroundings, normalise, trust_in};
use perilune::client::token::{Session, TokenFile};

use crate::failure::Failure;
use crate::{output, password};

pub(crate) const EXAMPLES: &str = "\
On the machine of the daemon no login is needed: its own luna.ini is used.

Examples:
  perilune login --url http://controller:7050
  echo \"$PASSWORD\" | perilune login --url controller --username luna
  perilune login --url controller --username luna --password @luna.password
  perilune login --url https://controller:7050 --certificate tls.crt";

#[derive(Args)]
pub(crate) struct Login {
    /// User name; asked for when not given
    #[arg(long, short)]
    username: Option<String>,
    /// The password; asked for without this
    #[arg(long, value_name = password::FORMS, num_args = 0..=1, default_missing_value = password::ASK)]
    password: Option<String>,
}

pub(crate) fn run(options: &Options, arguments: Login) -> Result<(), Failure> {
    let file = token_file()?;
    let known = file.load();
    let url = match (&options.url, &known) {
        (Some(url), _) => normalise(url),
        (None, Some(known)) => known.url.clone(),
        (None, None) => normalise("localhost"),
    };
    let terminal = Term::stderr();
    let username = match arguments.username {
        Some(username) => username,
        None if terminal.is_term() => {
            terminal.write_str(&format!("User of {url}: "))?;
            terminal.read_line()?.trim().to_owned()
        }
        None => return Err(Failure::usage("who? --username NAME")),
    };
    let password = match arguments.password.as_deref() {
        None | Some(password::ASK) => password::present(&terminal)?,
        Some(value) => password::given("password", value)?,
    };
    let credentials = Credentials::Password { username: username.clone(), password, cache: None };
    let before = known.filter(|known| known.url == url).and_then(|known| known.certificate);
    let certificate = match &options.certificate {
        // Later calls are made elsewhere.
        Some(named) => Some(std::path::absolute(named)?),
        None => before,
    };
    let options = Options { certificate: certificate.clone(), ..options.clone() };
    let trust = trust_in(&url, &options, &Surroundings::here());
    let token = Client::new(Access { url: url.clone(), credentials, trust })?.login()?;
    let session =
        Session { url: url.clone(), username: username.clone(), token, login: None, certificate };
    file.store(&session)
        .map_err(|error| Failure::failed(format!("cannot write {}: {error}", file.0.display())))?;
    Ok(output::line(&format!("{username} is logged in to {url}"))?)
}

pub(crate) fn logout() -> Result<(), Failure> {
    let text = if token_file()?.remove()? { "logged out" } else { "not logged in" };
    Ok(output::line(text)?)
}

fn token_file() -> Result<TokenFile, Failure> {
    let file = Surroundings::here().login_file();
    file.ok_or_else(|| {
        Failure::failed(
            "there is no home directory to keep the login in; set HOME or XDG_CONFIG_HOME",
        )
    })
}
