//! A machine whose power button is its BMC: what the simulated BMC tells its chassis happens to a virtual machine.

use std::path::Path;

use crate::machine::Description;
use crate::process::{Limit, Stop, wait_for};
use crate::{Bmc, Error, Lab, Machine};

/// No run of anything takes longer.
const LONGEST_SECONDS: u64 = 4 * 60 * 60;

/// Plays the machine until `stop` is requested; then it is off. A machine that switches itself off is off for its BMC, too.
pub fn play(
    bmc: &Bmc,
    lab: &Lab,
    description: &Description,
    directory: &Path,
    stop: &Stop,
) -> Result<(), Error> {
    let mut chassis = Chassis { bmc, lab, description, directory, machine: None, heard: 0 };
    let broken = || chassis.listen().err();
    match wait_for(&Limit::seconds(LONGEST_SECONDS).unless(stop), broken) {
        Ok(None) | Err(Error::Interrupted) => Ok(()),
        Ok(Some(error)) | Err(error) => Err(error),
    }
}

struct Chassis<'a> {
    bmc: &'a Bmc,
    lab: &'a Lab,
    description: &'a Description,
    directory: &'a Path,
    machine: Option<Machine>,
    /// Instructions that were followed.
    heard: usize,
}

/// What a BMC tells its chassis, in the words of the simulator.
#[derive(Debug, PartialEq, Eq)]
enum Instruction {
    On,
    Off,
    Reset,
    ShutDown,
    /// Boot devices, lights.
    Other,
}

impl Instruction {
    fn of(line: &str) -> Self {
        let mut words = line.split_whitespace();
        match (words.next(), words.next()) {
            (Some("power"), Some("1")) => Self::On,
            (Some("power"), Some("0")) => Self::Off,
            (Some("reset"), Some("1")) => Self::Reset,
            (Some("shutdown"), Some("1")) => Self::ShutDown,
            _ => Self::Other,
        }
    }
}

impl Chassis<'_> {
    /// Follows what is new.
    fn listen(&mut self) -> Result<(), Error> {
        if self.machine.as_mut().is_some_and(|machine| !machine.is_running()) {
            self.machine = None;
            self.bmc.note_power_off()?;
        }
        let log = self.bmc.log();
        for line in log.lines().skip(self.heard) {
            self.heard += 1;
            self.follow(&Instruction::of(line))?;
        }
        Ok(())
    }

    fn follow(&mut self, instruction: &Instruction) -> Result<(), Error> {
        match (instruction, &self.machine) {
            (Instruction::On, None) => {
                self.machine = Some(Machine::start(self.lab, self.description, self.directory)?);
            }
            (Instruction::Off, Some(_)) => {
                if let Some(machine) = self.machine.take() {
                    machine.power_off();
                }
            }
            (Instruction::Reset, Some(machine)) => machine.reset()?,
            (Instruction::ShutDown, Some(machine)) => machine.press_power_button()?,
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Instruction;

    #[test]
    fn instructions_are_the_simulators_words() {
        for (line, instruction) in [
            ("power 1", Instruction::On),
            ("power 0", Instruction::Off),
            ("reset 1", Instruction::Reset),
            ("shutdown 1", Instruction::ShutDown),
            ("identify 15 0", Instruction::Other),
            ("power", Instruction::Other),
        ] {
            assert_eq!(Instruction::of(line), instruction, "{line}");
        }
    }
}
