//! The files that TFTP serves: those below one directory, and boot loaders of the distribution that stand in
//! for missing ones. A file is read once for all the machines that fetch it at the same time.

use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::OnceCell;

/// Boot loaders and initial RAM disks are far smaller; what is bigger belongs to HTTP.
const LARGEST_FILE: u64 = 1 << 30;

/// A file that stands in when the root has none of its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fallback {
    pub name: String,
    /// What it is, and which packages have it.
    pub source: &'static str,
    /// The first that exists is served.
    pub paths: Vec<PathBuf>,
}

impl Fallback {
    /// What to do when neither the root nor a package has it.
    pub fn advice(&self, root: &Path) -> String {
        let Self { name, source, .. } = self;
        format!(
            "{name} is missing. It is {source}. Install that, or put the file into {}",
            root.display()
        )
    }
}

/// The boot loaders that our DHCP answers name, as Debian and Enterprise Linux package them.
pub fn distribution_loaders() -> Vec<Fallback> {
    const X86: &str = "iPXE for BIOS and UEFI on x86-64: Debian's package ipxe, Enterprise Linux's ipxe-bootimgs-x86";
    const ARM64: &str = "iPXE for UEFI on arm64: the package ipxe of Debian 13, Enterprise Linux's ipxe-bootimgs-aarch64";
    let table: [(&str, &str, &[&str]); 5] = [
        (
            "luna_undionly.kpxe",
            X86,
            &["/usr/lib/ipxe/undionly.kpxe", "/usr/share/ipxe/undionly.kpxe"],
        ),
        ("luna_ipxe.efi", X86, &["/usr/lib/ipxe/ipxe.efi", "/usr/share/ipxe/ipxe-x86_64.efi"]),
        (
            "luna_snponly.efi",
            X86,
            &["/usr/lib/ipxe/snponly.efi", "/usr/share/ipxe/ipxe-snponly-x86_64.efi"],
        ),
        (
            "luna_ipxe_arm64.efi",
            ARM64,
            // Enterprise Linux has the second, or the third alone: it drives the card by the firmware, and boots as well.
            &[
                "/usr/lib/ipxe/ipxe-arm64.efi",
                "/usr/share/ipxe/arm64-efi/ipxe.efi",
                "/usr/share/ipxe/arm64-efi/snponly.efi",
            ],
        ),
        (
            "luna_snponly_arm64.efi",
            ARM64,
            &["/usr/lib/ipxe/snponly-arm64.efi", "/usr/share/ipxe/arm64-efi/snponly.efi"],
        ),
    ];
    let fallback = |(name, source, paths): (&str, &'static str, &[&str])| Fallback {
        name: name.to_owned(),
        source,
        paths: paths.iter().map(PathBuf::from).collect(),
    };
    table.into_iter().map(fallback).collect()
}

/// Why a file is not served.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("file not found")]
    NotFound,
    #[error("the name leads out of the served directory")]
    Outside,
    #[error("not a regular file")]
    NotAFile,
    #[error("the file is too large for TFTP, fetch it by HTTP")]
    TooLarge,
    #[error("the file cannot be read")]
    Unreadable(#[from] std::io::Error),
}

/// A file in memory; as long as anybody holds it, others get the same bytes.
pub(super) type Contents = Arc<OnceCell<Arc<[u8]>>>;

/// The files that somebody holds.
type InUse = BTreeMap<Identity, Weak<OnceCell<Arc<[u8]>>>>;

/// One state of one file: when the file is replaced, its identity is another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Identity {
    path: PathBuf,
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
}

#[derive(Debug)]
pub(super) struct Files {
    root: PathBuf,
    fallbacks: Vec<Fallback>,
    in_use: Mutex<InUse>,
}

impl Files {
    pub(super) fn new(root: PathBuf, fallbacks: Vec<Fallback>) -> Self {
        Self { root, fallbacks, in_use: Mutex::default() }
    }

    /// The contents of a file. Keep the first part while using the second, so that others share it.
    pub(super) async fn read(
        self: &Arc<Self>,
        name: &str,
    ) -> Result<(Contents, Arc<[u8]>), Refusal> {
        let (files, name) = (Arc::clone(self), name.to_owned());
        let identity = blocking(move || files.find(&name)).await?;
        let contents = self.share(&identity);
        let bytes = contents
            .get_or_try_init(|| blocking(move || read_whole(&identity.path)))
            .await
            .map(Arc::clone)?;
        Ok((contents, bytes))
    }

    fn share(&self, identity: &Identity) -> Contents {
        let mut in_use = self.in_use();
        if let Some(contents) = in_use.get(identity).and_then(Weak::upgrade) {
            return contents;
        }
        in_use.retain(|_, contents| contents.strong_count() > 0);
        let contents = Contents::default();
        in_use.insert(identity.clone(), Arc::downgrade(&contents));
        contents
    }

    fn in_use(&self) -> MutexGuard<'_, InUse> {
        // The map is whole between any two statements, so a panic elsewhere does not matter.
        self.in_use.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, name: &str) -> Result<Identity, Refusal> {
        match self.find_in_root(name) {
            Err(Refusal::NotFound) => self.find_fallback(name),
            found => found,
        }
    }

    /// Resolves the name before judging it: a symbolic link may lead anywhere below the root, not out of it.
    fn find_in_root(&self, name: &str) -> Result<Identity, Refusal> {
        let relative = relative(name)?;
        let root = self.root.canonicalize().map_err(refusal)?;
        let path = root.join(relative).canonicalize().map_err(refusal)?;
        if !path.starts_with(&root) {
            return Err(Refusal::Outside);
        }
        identify(path)
    }

    /// What to do about a boot loader that is not there.
    pub(super) fn advice(&self, name: &str) -> Option<String> {
        Some(self.fallback(&relative(name).ok()?)?.advice(&self.root))
    }

    fn fallback(&self, relative: &Path) -> Option<&Fallback> {
        self.fallbacks.iter().find(|fallback| relative == Path::new(&fallback.name))
    }

    fn find_fallback(&self, name: &str) -> Result<Identity, Refusal> {
        let fallback = self.fallback(&relative(name)?);
        let paths = fallback.map(|fallback| fallback.paths.as_slice()).unwrap_or_default();
        paths
            .iter()
            .find_map(|path| identify(path.canonicalize().ok()?).ok())
            .ok_or(Refusal::NotFound)
    }
}

/// The path below the root that a name means. Firmware and shim write leading and double slashes, Windows
/// loaders backslashes; nobody needs to go up.
fn relative(name: &str) -> Result<PathBuf, Refusal> {
    let name = name.replace('\\', "/");
    if name.contains('\0') {
        return Err(Refusal::NotFound);
    }
    let mut path = PathBuf::new();
    for component in Path::new(&name).components() {
        match component {
            Component::Normal(part) => path.push(part),
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir | Component::Prefix(_) => return Err(Refusal::Outside),
        }
    }
    Ok(path)
}

fn identify(path: PathBuf) -> Result<Identity, Refusal> {
    let metadata = path.symlink_metadata().map_err(refusal)?;
    if !metadata.is_file() {
        return Err(Refusal::NotAFile);
    }
    if metadata.len() > LARGEST_FILE {
        return Err(Refusal::TooLarge);
    }
    Ok(Identity {
        path,
        device: metadata.dev(),
        inode: metadata.ino(),
        length: metadata.len(),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
    })
}

/// The path is resolved already: a link in its place was put there just now and is not followed.
fn read_whole(path: &Path) -> Result<Arc<[u8]>, Refusal> {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let file = std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
        .map_err(refusal)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(Refusal::NotAFile);
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or_default());
    file.take(LARGEST_FILE).read_to_end(&mut bytes)?;
    Ok(bytes.into())
}

fn refusal(error: std::io::Error) -> Refusal {
    match error.kind() {
        std::io::ErrorKind::NotFound
        | std::io::ErrorKind::NotADirectory
        | std::io::ErrorKind::InvalidFilename => Refusal::NotFound,
        _ => Refusal::Unreadable(error),
    }
}

async fn blocking<T: Send + 'static>(
    action: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    match tokio::task::spawn_blocking(action).await {
        Ok(result) => result,
        Err(error) => Err(Refusal::Unreadable(std::io::Error::other(error))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn root() -> (tempfile::TempDir, Arc<Files>) {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("root");
        std::fs::create_dir_all(root.join("sub")).unwrap();
        std::fs::write(root.join("a"), "inside").unwrap();
        std::fs::write(directory.path().join("secret"), "outside").unwrap();
        std::fs::write(directory.path().join("packaged.efi"), "loader").unwrap();
        let fallback = Fallback {
            name: "loader.efi".to_owned(),
            source: "a loader: the package loaders",
            paths: vec![directory.path().join("none"), directory.path().join("packaged.efi")],
        };
        let files = Arc::new(Files::new(root, vec![fallback]));
        (directory, files)
    }

    #[tokio::test]
    async fn slashes_of_any_number_and_kind_lead_to_the_file() {
        let (_directory, files) = root();
        for name in ["a", "/a", "//a", "./a", "sub//../a", "\\a", "/./a"] {
            let result = files.read(name).await;
            match name {
                "sub//../a" => assert!(matches!(result, Err(Refusal::Outside)), "{name}"),
                _ => assert_eq!(&*result.unwrap().1, b"inside", "{name}"),
            }
        }
    }

    #[tokio::test]
    async fn nothing_outside_the_root_is_served() {
        let (directory, files) = root();
        let inside = directory.path().join("root");
        symlink("../secret", inside.join("link")).unwrap();
        symlink(directory.path().join("secret"), inside.join("absolute")).unwrap();
        symlink("..", inside.join("up")).unwrap();
        let absolute = directory.path().join("secret");
        for name in ["../secret", "/../secret", "..\\secret", "sub/../../secret"] {
            assert!(matches!(files.read(name).await, Err(Refusal::Outside)), "{name}");
        }
        for name in ["link", "absolute", "up/secret"] {
            assert!(matches!(files.read(name).await, Err(Refusal::Outside)), "{name}");
        }
        let name = absolute.to_str().unwrap();
        assert!(matches!(files.read(name).await, Err(Refusal::NotFound)), "{name}");
    }

    #[tokio::test]
    async fn a_link_inside_the_root_is_followed() {
        let (directory, files) = root();
        symlink("../a", directory.path().join("root/sub/link")).unwrap();
        assert_eq!(&*files.read("sub/link").await.unwrap().1, b"inside");
    }

    #[tokio::test]
    async fn directories_pipes_and_odd_names_are_refused() {
        let (directory, files) = root();
        let pipe = directory.path().join("root/pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        )
        .unwrap();
        assert!(matches!(files.read("sub").await, Err(Refusal::NotAFile)));
        assert!(matches!(files.read("pipe").await, Err(Refusal::NotAFile)));
        assert!(matches!(files.read("").await, Err(Refusal::NotAFile)));
        assert!(matches!(files.read("a/b").await, Err(Refusal::NotFound)));
        assert!(matches!(files.read(&"x".repeat(800)).await, Err(Refusal::NotFound)));
    }

    #[tokio::test]
    async fn a_packaged_loader_stands_in_until_the_root_has_one() {
        let (directory, files) = root();
        assert_eq!(&*files.read("/loader.efi").await.unwrap().1, b"loader");
        std::fs::write(directory.path().join("root/loader.efi"), "own").unwrap();
        assert_eq!(&*files.read("/loader.efi").await.unwrap().1, b"own");
        assert!(matches!(files.read("sub/loader.efi").await, Err(Refusal::NotFound)));
    }

    #[tokio::test]
    async fn a_loader_that_is_nowhere_is_told_with_what_to_do() {
        let (directory, files) = root();
        std::fs::remove_file(directory.path().join("packaged.efi")).unwrap();
        assert!(matches!(files.read("/loader.efi").await, Err(Refusal::NotFound)));
        let advice = files.advice("/loader.efi").unwrap();
        let place = directory.path().join("root");
        assert!(
            advice.contains("loader.efi is missing") && advice.contains("the package loaders"),
            "{advice}"
        );
        assert!(advice.ends_with(&format!("put the file into {}", place.display())), "{advice}");
        assert_eq!(files.advice("grub.cfg"), None, "firmware asks for much that need not be there");
        assert_eq!(files.advice("../loader.efi"), None);
    }

    #[test]
    fn every_program_of_our_answers_has_a_package() {
        let loaders = distribution_loaders();
        for name in [
            "luna_undionly.kpxe",
            "luna_ipxe.efi",
            "luna_snponly.efi",
            "luna_ipxe_arm64.efi",
            "luna_snponly_arm64.efi",
        ] {
            let loader = loaders.iter().find(|loader| loader.name == name).expect(name);
            assert_eq!(loader.source.contains("arm64"), name.contains("arm64"), "{loader:?}");
        }
    }

    #[tokio::test]
    async fn a_file_in_use_is_read_once_and_forgotten_afterwards() {
        let (directory, files) = root();
        let (held, first) = files.read("a").await.unwrap();
        let (_, second) = files.read("/a").await.unwrap();
        assert!(Arc::ptr_eq(&first, &second));
        std::fs::write(directory.path().join("root/a"), "changed").unwrap();
        assert_eq!(&*files.read("a").await.unwrap().1, b"changed");
        drop(held);
        let _other = files.read("loader.efi").await.unwrap();
        assert_eq!(files.in_use().len(), 1);
    }
}
