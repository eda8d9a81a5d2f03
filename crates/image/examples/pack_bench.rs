//! Packs one tree with ours and with `tar | lbzip2`, turn by turn, and prints what each took:
//! `pack_bench TREE DIRECTORY [ROUNDS]`. DIRECTORY takes the archives for the time of the run; a tmpfs is best.
#![expect(clippy::print_stdout, reason = "figures are what this program is for")]
#![expect(clippy::disallowed_methods, reason = "it has nothing else to do while a program runs")]

use std::{
    error::Error,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use perilune_image::{ArchiveFormat, CancelFlag, Parts, Request, pack};

/// What one packing took.
#[derive(Clone, Copy)]
struct Figures {
    wall: Duration,
    processor: Duration,
    size: u64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (tree, directory, rounds) = match arguments.as_slice() {
        [tree, directory] => (tree, directory, 3),
        [tree, directory, rounds] => (tree, directory, rounds.parse()?),
        _ => return Err("usage: pack_bench TREE DIRECTORY [ROUNDS]".into()),
    };
    let (tree, directory) = (Path::new(tree), Path::new(directory));
    println!("{:<16}{:>10}{:>14}{:>14}", "", "MB", "wall s", "processor s");
    let mut best: [Option<Figures>; 2] = [None, None];
    for _ in 0..rounds {
        for (kept, (name, figures)) in best.iter_mut().zip([
            ("tar.zst, ours", ours(tree, directory)?),
            ("tar | lbzip2", theirs(tree, directory)?),
        ]) {
            show(name, figures);
            if kept.is_none_or(|kept| figures.wall < kept.wall) {
                *kept = Some(figures);
            }
        }
    }
    if let [Some(ours), Some(theirs)] = best {
        println!(
            "best of {rounds}: ours is {:.1} times as fast, takes {:.1} times less processor time, and {:.1} % of the size",
            theirs.wall.as_secs_f64() / ours.wall.as_secs_f64(),
            theirs.processor.as_secs_f64() / ours.processor.as_secs_f64(),
            percent(ours.size, theirs.size),
        );
    }
    Ok(())
}

fn show(name: &str, figures: Figures) {
    let Figures { wall, processor, size } = figures;
    println!(
        "{name:<16}{:>10}{:>14.2}{:>14.2}",
        size / 1_000_000,
        wall.as_secs_f64(),
        processor.as_secs_f64()
    );
}

fn ours(tree: &Path, directory: &Path) -> Result<Figures, Box<dyn Error>> {
    let request = Request {
        name: "bench".to_owned(),
        tree: tree.to_owned(),
        kernel_version: None,
        kernel_modules: Vec::new(),
        agent: PathBuf::new(),
        files_dir: directory.to_owned(),
        epoch: 0,
        archive_format: ArchiveFormat::TarZstd,
        mounts: perilune_image::Mounts::Refuse,
        archive_readers: perilune_image::Readers::default(),
        owner: None,
        parts: Parts::Archive,
    };
    let place = directory.join("bench-0.tar.zst");
    measured(&place, || {
        pack(&request, &mut |_| (), &CancelFlag::default())?;
        Ok(())
    })
}

fn theirs(tree: &Path, directory: &Path) -> Result<Figures, Box<dyn Error>> {
    let place = directory.join("bench-0.tar.bz2");
    let threads = std::thread::available_parallelism()?;
    let script = format!(
        "tar --numeric-owner --xattrs --acls --one-file-system -C \"$1\" -c . | lbzip2 -n{threads} > \"$2\""
    );
    measured(&place, || {
        let status =
            Command::new("sh").args(["-c", &script, "sh"]).arg(tree).arg(&place).status()?;
        if status.success() {
            Ok(())
        } else {
            Err("tar | lbzip2 failed; is lbzip2 installed?".into())
        }
    })
}

fn measured(
    place: &Path,
    work: impl FnOnce() -> Result<(), Box<dyn Error>>,
) -> Result<Figures, Box<dyn Error>> {
    let (start, before) = (Instant::now(), processor_time()?);
    work()?;
    let figures = Figures {
        wall: start.elapsed(),
        processor: processor_time()?.saturating_sub(before),
        size: fs::metadata(place)?.len(),
    };
    fs::remove_file(place)?;
    Ok(figures)
}

/// Of this process and of the children it has waited for (proc(5), fields 14 to 17 of stat, in ticks of 10 ms).
fn processor_time() -> Result<Duration, Box<dyn Error>> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ').skip(11).take(4);
    let ticks: u64 = fields.map(str::parse::<u64>).sum::<Result<_, _>>()?;
    Ok(Duration::from_millis(ticks * 10))
}

#[expect(clippy::cast_precision_loss, reason = "a percentage needs no more than three digits")]
fn percent(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64 * 100.0
}
