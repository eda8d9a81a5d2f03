//! Hooks that hang, flood, fork, die and eat memory, all at once: nobody else is harmed, and all of it is told.

use perilune_program::Limits;

use super::*;

const LIMITS: Limits = Limits { time: Duration::from_secs(2), output: 1 << 20, memory: 64 << 20 };

/// It is gone, or dead and not yet waited for by whoever has taken it over.
fn is_dead(id: &str) -> bool {
    let text = fs::read_to_string(format!("/proc/{}/stat", id.trim())).unwrap_or_default();
    text.rsplit(')').next().is_none_or(|rest| rest.is_empty() || rest.starts_with(" Z"))
}

/// Writes the hooks; answers where two of them note the processes that they leave.
fn write_hooks(plugins: &Path, log: &Path) {
    let at = plugins.display();
    let child =
        |name: &str| format!("sleep 1000 >/dev/null 2>&1 </dev/null & echo $! > {at}/{name}");
    let hangs = format!("#!/bin/sh\n{}\nsleep 1000\n", child("hangs"));
    let dies = format!("#!/bin/sh\n{}\nkill -9 $$\n", child("dies"));
    write(plugins, "hooks/config/node", &hangs);
    write(plugins, "hooks/config/group", "#!/bin/sh\nexec yes\n");
    write(plugins, "hooks/config/dns", &dies);
    write(plugins, "hooks/luna/default", "#!/bin/sh\nexec python3 -c 'x = bytearray(1 << 30)'\n");
    write(plugins, "hooks/monitor/node", &format!("#!/bin/sh\ncat >> {}\n", log.display()));
}

#[tokio::test]
async fn hooks_that_hang_flood_fork_die_and_eat_memory_harm_nobody_and_are_told() {
    let directory = tempfile::tempdir().unwrap();
    let (plugins, log) = (directory.path().join("plugins"), directory.path().join("log"));
    write_hooks(&plugins, &log);
    let runner = Runner::new(Some(plugins.clone()), PathBuf::from("/usr/bin/python3"), None);
    let hooks = Hooks::new(runner.within(LIMITS));
    let (store, _) =
        perilune_store::Store::open(directory.path(), &directory.path().join("key")).unwrap();
    let (status, writer, _) = Status::open(&store).await.unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(writer.run());
    let (publisher, published) = watch::channel(cluster(&[]));
    let stop = CancellationToken::new();
    let mut running = JoinSet::new();
    running.spawn(hooks.clone().run(published, status.clone(), Lead::default(), stop.clone()));
    let failure = |hook| hooks.outcome(hook).and_then(|outcome| outcome.failure);
    until(|| failure(Hook::Luna).is_some()).await;
    assert!(failure(Hook::Luna).unwrap().contains("MemoryError"), "{:?}", failure(Hook::Luna));

    publisher.send_replace(cluster(&[("n1", "compute")]));
    // While the others misbehave, states are told.
    for (number, state) in ["install.prescript", "install.success"].into_iter().enumerate() {
        status.report(&Name::trusted("n1"), state, None, clock::milliseconds());
        until(|| calls(&log).len() == number + 1).await;
    }
    let all = [Hook::ConfigNode, Hook::ConfigGroup, Hook::ConfigDns];
    until(|| all.iter().all(|hook| failure(*hook).is_some())).await;
    let hung = failure(Hook::ConfigNode).unwrap();
    assert!(hung.contains("did not end within 2 s"), "{hung}");
    for hook in [Hook::ConfigGroup, Hook::ConfigDns] {
        assert!(failure(hook).unwrap().contains("it failed (signal"), "{:?}", failure(hook));
    }
    assert_eq!(hooks.warnings(clock::milliseconds()).len(), 4, "status has all of them");
    for name in ["hangs", "dies"] {
        let id = fs::read_to_string(plugins.join(name)).unwrap();
        until(|| is_dead(&id)).await;
    }

    // Mended, they are called again, and nothing is told of them any more.
    for hook in Hook::ALL {
        write(&plugins, hook.path(), "#!/bin/sh\ncat > /dev/null\n");
    }
    // One that was called again before it was mended may tell of its failure now.
    for _ in 0..100 {
        for hook in Hook::ALL {
            hooks.run_once(hook, &cluster(&[])).await.unwrap();
        }
        if hooks.warnings(clock::milliseconds()).is_empty() {
            break;
        }
        sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(hooks.warnings(clock::milliseconds()), [""; 0]);
    stop.cancel();
    running.join_next().await.unwrap().unwrap();
}

#[tokio::test]
async fn a_hook_that_takes_long_is_told_while_it_runs() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), "hooks/config/node", "#!/bin/sh\nexec sleep 1000\n");
    let hooks = hooks(directory.path());
    let (called, before) = (hooks.clone(), clock::milliseconds());
    let mut running = JoinSet::new();
    running.spawn(async move { called.run_once(Hook::ConfigNode, &cluster(&[])).await });
    until(|| !hooks.warnings(before + 10 * SLOW).is_empty()).await;
    assert!(hooks.warnings(before + 10 * SLOW)[0].contains("has not ended"));
    assert_eq!(hooks.warnings(before), [""; 0]);
    running.shutdown().await;
    assert_eq!(hooks.warnings(before + 10 * SLOW), [""; 0]);
}
