//! Several controllers with a database that they share.

use perilune_testkit::Postgres;

use super::*;

/// The leases of two controllers, with what runs for them.
struct Two {
    _server: Postgres,
    _directory: tempfile::TempDir,
    here: Leases,
    there: Leases,
    _tasks: JoinSet<()>,
}

impl Two {
    async fn start() -> Option<Self> {
        let mut server = Postgres::start()?;
        let address = Postgres::url(&server.fresh(), server.port()).parse().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let key = directory.path().join("luna.key");
        Store::prepare(&address, &key).await.unwrap();
        let mut tasks = JoinSet::new();
        let mut opened = Vec::new();
        for name in ["here", "there"] {
            let (store, _) = Store::connect(&address, name, &key).await.unwrap();
            let (leases, writer, _) = Leases::open(&store).await.unwrap();
            tasks.spawn(writer.run());
            tasks.spawn(leases.clone().follow(CancellationToken::new()));
            opened.push(leases);
        }
        let (there, here) = (opened.pop().unwrap(), opened.pop().unwrap());
        Some(Self { _server: server, _directory: directory, here, there, _tasks: tasks })
    }
}

fn at(last: u8) -> IpAddr {
    [10, 141, 200, last].into()
}

fn lease_at(last: u8, machine: u8, lasts: u64) -> Lease {
    Lease { address: at(last), ..lease(machine, lasts) }
}

#[tokio::test]
async fn what_another_controller_lends_is_offered_to_nobody_else_and_to_its_machine_again() {
    let Some(Two { here, there, .. }) = &Two::start().await else { return };
    assert_eq!(lend(there, lease(1, HOUR)).await, Stored::Durable(vec![]));
    here.look().await;
    let steady = clock::steady_milliseconds();
    assert_eq!(here.of(mac(1)).next(), Some(ADDRESS));
    assert!(!here.lock().is_free(ADDRESS, mac(2), steady));
    assert!(here.lock().is_lent(ADDRESS, mac(1), steady));
    // Where it had decided before it knew, what is stored counts, although the board knows it by now.
    assert_eq!(lend(here, lease(2, HOUR)).await, Stored::Durable(vec![ADDRESS]));
    assert!(here.has(mac(1), ADDRESS) && there.has(mac(1), ADDRESS));
    // What is taken back over there is free here.
    assert!(there.lock().release(ADDRESS, mac(1)));
    let over = there.lock().take_over();
    assert_eq!(there.store(over).await, Stored::Durable(vec![]));
    here.look().await;
    assert!(here.lock().is_free(ADDRESS, mac(2), steady));
    assert_eq!(lend(here, lease(2, HOUR)).await, Stored::Durable(vec![]));
    there.look().await;
    assert!(there.has(mac(2), ADDRESS));
}

#[tokio::test]
async fn a_machine_that_two_controllers_lend_an_address_each_keeps_the_last_one() {
    let Some(Two { here, there, .. }) = &Two::start().await else { return };
    assert_eq!(lend(there, lease_at(1, 1, HOUR)).await, Stored::Durable(vec![]));
    assert_eq!(lend(here, lease_at(2, 1, 2 * HOUR)).await, Stored::Durable(vec![]));
    for leases in [here, there] {
        let is_one = async {
            while leases.has(mac(1), at(1)) || leases.of(mac(1)).next() != Some(at(2)) {
                leases.look().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), is_one).await.unwrap();
        assert!(leases.has(mac(1), at(2)));
    }
    assert_eq!(lend(there, lease_at(1, 2, HOUR)).await, Stored::Durable(vec![]));
}

#[tokio::test]
async fn what_is_taken_back_of_one_machine_stays_lent_to_another() {
    let Some(Two { here, there, .. }) = &Two::start().await else { return };
    assert_eq!(lend(here, lease(1, 0)).await, Stored::Durable(vec![]));
    there.look().await;
    assert_eq!(lend(there, lease(2, HOUR)).await, Stored::Durable(vec![]));
    here.board.look().await;
    let over = vec![Edit::Over(ADDRESS, mac(1))];
    assert_eq!(here.store(over).await, Stored::Durable(vec![]));
    there.look().await;
    assert!(here.has(mac(2), ADDRESS) && there.has(mac(2), ADDRESS));
}
