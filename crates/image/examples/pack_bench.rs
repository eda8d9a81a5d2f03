//! Packs a tree with ours and, in the same run, with GNU tar through lbzip2: `pack_bench TREE AGENT FILES_DIR`.
#![expect(clippy::print_stdout, reason = "figures are what this program is for")]

use std::path::PathBuf;

use perilune_image::{ArchiveFormat, CancelFlag, Parts, Request, pack};

fn main() {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(tree), Some(agent), Some(files_dir)) =
        (arguments.next(), arguments.next(), arguments.next())
    else {
        println!("usage: pack_bench TREE AGENT FILES_DIR");
        return;
    };
    let request = Request {
        name: "bench".to_owned(),
        tree,
        kernel_version: None,
        kernel_modules: Vec::new(),
        agent,
        files_dir,
        epoch: 1,
        archive_format: ArchiveFormat::TarZstd,
        parts: Parts::All,
    };
    let start = std::time::Instant::now();
    let packed = pack(
        &request,
        &mut |progress| println!("{:?} {progress:?}", start.elapsed()),
        &CancelFlag::default(),
    );
    println!("{:?} {packed:#?}", start.elapsed());
}
