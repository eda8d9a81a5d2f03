//! Makes what a node's system is known by: host keys of SSH, and numbers that are nobody else's. The keys come from AWS-LC, as all
//! others here; only their files' format is OpenSSH's.

mod maker;

use std::sync::Arc;

use aws_lc_rs::encoding::{AsBigEndian as _, AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
};
pub use maker::Maker;
use perilune_model::identity::{HostKey, NodeIdentity, complete};
use perilune_model::{Cluster, Name};
use perilune_store::Meta;
use ssh_encoding::Decode as _;
use ssh_key::private::{Ed25519Keypair, Ed25519PrivateKey, KeypairData, RsaKeypair, RsaPrivateKey};
use ssh_key::public::{Ed25519PublicKey, RsaPublicKey};
use ssh_key::{LineEnding, Mpint, PrivateKey};

use crate::state::State;

/// Why no identity was made. Nothing of it is anybody's fault outside of this program and its libraries.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no chance, or no memory.
    #[error("no key could be made")]
    Key(#[from] aws_lc_rs::error::Unspecified),
    /// The key that was made is not as expected.
    #[error("a key that was made has no form that OpenSSH reads")]
    Form(#[from] ssh_key::Error),
    /// Its encoding is not as expected.
    #[error("a key that was made cannot be read")]
    Encoding(#[from] yasna::ASN1Error),
    /// The system gives no random numbers.
    #[error("the system gives no random numbers: {0}")]
    Random(String),
    /// The daemon is stopping, or what makes keys has a fault.
    #[error("keys are not made any more")]
    Stopping,
    /// It could not be stored.
    #[error(transparent)]
    Cluster(#[from] crate::cluster::Error),
}

/// The identity of a node that is about to be installed, made and stored now unless there is one. A node that is gone has none.
pub async fn ensure(state: &State, node: &str, meta: Meta) -> Result<Arc<Cluster>, Error> {
    let cluster = state.cluster.published();
    let Ok(known) = cluster.node(node) else { return Ok(cluster) };
    if cluster.node_identities().contains_key(&known.name) {
        return Ok(cluster);
    }
    let made = state.identities.make(known.name.clone()).await?;
    state.cluster.commit(meta, move |draft| complete(draft, made.clone())).await?;
    Ok(state.cluster.published())
}

/// The identity of a node, with an RSA key that was made before where there is one.
fn new(name: Name, kept: Option<KeypairData>) -> Result<NodeIdentity, Error> {
    let rsa = kept.map_or_else(rsa, Ok)?;
    let keys = [("ed25519", ed25519()?), ("ecdsa", ecdsa()?), ("rsa", rsa)];
    let keys = keys.into_iter().map(|(algorithm, pair)| host_key(algorithm, pair));
    Ok(NodeIdentity {
        name,
        machine_id: uuid(random()?).replace('-', ""),
        host_uuid: uuid(random()?),
        // As open-iscsi makes its own: six bytes of chance.
        initiator: format!("iqn.2016-04.com.open-iscsi:{:012x}", random()? >> 80),
        ssh_host_keys: keys.collect::<Result<_, Error>>()?,
    })
}

fn host_key(algorithm: &str, pair: KeypairData) -> Result<HostKey, Error> {
    let key = PrivateKey::new(pair, "")?;
    Ok(HostKey {
        name: algorithm.to_owned(),
        public: key.public_key().to_openssh()?.trim().to_owned(),
        content: key.to_openssh(LineEnding::LF)?.to_string(),
    })
}

fn ed25519() -> Result<KeypairData, Error> {
    let pair = Ed25519KeyPair::generate()?;
    let public = Ed25519PublicKey::try_from(pair.public_key().as_ref())?;
    let seed = pair.seed()?.as_be_bytes()?;
    let private = Ed25519PrivateKey::try_from(seed.as_ref())?;
    Ok(Ed25519Keypair { public, private }.into())
}

fn ecdsa() -> Result<KeypairData, Error> {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING)?;
    let private = pair.private_key().as_be_bytes()?;
    // RFC 4251, section 5: a number whose first bit is set begins with a zero.
    let is_high = private.as_ref().first().is_some_and(|first| *first >= 0x80);
    let number = [if is_high { &[0][..] } else { &[] }, private.as_ref()].concat();
    let fields = [b"nistp256", pair.public_key().as_ref(), &number];
    let bytes: Vec<u8> = fields.into_iter().flat_map(string).collect();
    Ok(ssh_key::private::EcdsaKeypair::decode(&mut bytes.as_slice())?.into())
}

/// A string as SSH writes it (RFC 4251, section 5).
fn string(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    [&length.to_be_bytes(), bytes].concat()
}

/// As large as `ssh-keygen` makes them.
fn rsa() -> Result<KeypairData, Error> {
    let pair = aws_lc_rs::rsa::KeyPair::generate(KeySize::Rsa3072)?;
    let der: Pkcs8V1Der<'_> = pair.as_der()?;
    // RFC 5208: version, algorithm, and the key as RFC 8017, appendix A.1.2, has it.
    let key = yasna::parse_der(der.as_ref(), |reader| {
        reader.read_sequence(|reader| {
            reader.next().read_u8()?;
            reader.next().read_der()?;
            reader.next().read_bytes()
        })
    })?;
    let numbers = yasna::parse_der(&key, |reader| {
        reader.read_sequence(|reader| {
            reader.next().read_u8()?;
            // modulus, publicExponent, privateExponent, prime1, prime2, exponent1, exponent2, coefficient
            let mut numbers = Vec::with_capacity(8);
            for _ in 0..8 {
                numbers.push(reader.next().read_bigint_bytes()?.0);
            }
            Ok(numbers)
        })
    })?;
    let number = |place: usize| {
        let bytes = numbers.get(place).map(Vec::as_slice).unwrap_or_default();
        Mpint::from_positive_bytes(bytes)
    };
    let public = RsaPublicKey { n: number(0)?, e: number(1)? };
    let private = RsaPrivateKey { d: number(2)?, p: number(3)?, q: number(4)?, iqmp: number(7)? };
    Ok(RsaKeypair { public, private }.into())
}

fn random() -> Result<u128, Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| Error::Random(error.to_string()))?;
    Ok(u128::from_be_bytes(bytes))
}

/// A UUID of chance (RFC 9562, version 4).
fn uuid(random: u128) -> String {
    let number = random & !(0xf << 76) & !(0b11 << 62) | (4 << 76) | (0b10 << 62);
    let digits = format!("{number:032x}");
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32];
    parts.map(|part| digits.get(part).unwrap_or_default()).join("-")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::OpenOptionsExt as _;

    use perilune_testkit::Limit;
    use perilune_testkit::process::{command, run};

    use super::*;

    fn keygen(arguments: &[&str]) -> String {
        run(command("ssh-keygen").args(arguments), &Limit::seconds(30)).unwrap()
    }

    /// The program itself reads the private keys, and says which public keys belong to them.
    #[test]
    fn openssh_reads_every_key() {
        let directory = tempfile::tempdir().unwrap();
        let identity = new(Name::trusted("node001"), None).unwrap();
        for key in &identity.ssh_host_keys {
            let file = directory.path().join(&key.name);
            let mut options = std::fs::OpenOptions::new();
            let mut opened = options.create_new(true).write(true).mode(0o600).open(&file).unwrap();
            std::io::Write::write_all(&mut opened, key.content.as_bytes()).unwrap();
            let file = file.to_str().unwrap();
            assert_eq!(keygen(&["-y", "-f", file]).trim(), key.public);
            // A signature shows that the two belong together, and that no number is in another's place.
            let text = directory.path().join(format!("{}.text", key.name));
            std::fs::write(&text, "text").unwrap();
            keygen(&["-q", "-Y", "sign", "-n", "file", "-f", file, text.to_str().unwrap()]);
            let signature = format!("{}.sig", text.display());
            let check = format!(
                "ssh-keygen -Y check-novalidate -n file -s {signature} < {}",
                text.display()
            );
            run(command("sh").args(["-c", &check]), &Limit::seconds(30)).unwrap();
        }
        let names: Vec<&str> = identity.ssh_host_keys.iter().map(|key| &*key.name).collect();
        assert_eq!(names, ["ed25519", "ecdsa", "rsa"]);
    }

    #[test]
    fn no_two_nodes_have_anything_of_an_identity_in_common() {
        let [one, other] =
            ["node001", "node002"].map(|name| new(Name::trusted(name), None).unwrap());
        assert_ne!(one.machine_id, other.machine_id);
        assert_ne!(one.host_uuid, other.host_uuid);
        assert_ne!(one.initiator, other.initiator);
        assert!(one.ssh_host_keys.iter().all(|key| !other.ssh_host_keys.contains(key)));
        let is_hex = |text: &str| text.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'));
        assert!(one.machine_id.len() == 32 && is_hex(&one.machine_id), "{}", one.machine_id);
    }

    #[test]
    fn numbers_whose_first_bit_is_set_are_written_as_others() {
        for _ in 0..32 {
            host_key("ecdsa", ecdsa().unwrap()).unwrap();
        }
    }
}
