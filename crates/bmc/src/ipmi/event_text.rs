//! Words for sensor types and events (IPMI 2.0, tables 42-1 to 42-3).

const SENSOR_TYPES: &[&str] = &[
    "Reserved",
    "Temperature",
    "Voltage",
    "Current",
    "Fan",
    "Physical Security",
    "Platform Security",
    "Processor",
    "Power Supply",
    "Power Unit",
    "Cooling Device",
    "Other",
    "Memory",
    "Drive Slot",
    "POST Memory Resize",
    "System Firmware",
    "Event Logging Disabled",
    "Watchdog 1",
    "System Event",
    "Critical Interrupt",
    "Button",
    "Module or Board",
    "Microcontroller",
    "Add-in Card",
    "Chassis",
    "Chip Set",
    "Other FRU",
    "Cable or Interconnect",
    "Terminator",
    "System Boot Initiated",
    "Boot Error",
    "OS Boot",
    "OS Critical Stop",
    "Slot or Connector",
    "System ACPI Power State",
    "Watchdog 2",
    "Platform Alert",
    "Entity Presence",
    "Monitor ASIC",
    "LAN",
    "Management Subsystem Health",
    "Battery",
    "Session Audit",
    "Version Change",
    "FRU State",
];

/// The kind of event that is one of the sensor's type, not of all sensors.
const SPECIFIC: u8 = 0x6f;

/// Events of all sensors, by kind of event.
const GENERIC: &[(u8, &[&str])] = &[
    (
        0x01,
        &[
            "Lower Non-critical going low",
            "Lower Non-critical going high",
            "Lower Critical going low",
            "Lower Critical going high",
            "Lower Non-recoverable going low",
            "Lower Non-recoverable going high",
            "Upper Non-critical going low",
            "Upper Non-critical going high",
            "Upper Critical going low",
            "Upper Critical going high",
            "Upper Non-recoverable going low",
            "Upper Non-recoverable going high",
        ],
    ),
    (0x02, &["Idle", "Active", "Busy"]),
    (0x03, &["State Deasserted", "State Asserted"]),
    (0x04, &["Predictive Failure Deasserted", "Predictive Failure Asserted"]),
    (0x05, &["Limit Not Exceeded", "Limit Exceeded"]),
    (0x06, &["Performance Met", "Performance Lags"]),
    (
        0x07,
        &[
            "OK",
            "Non-critical from OK",
            "Critical from less severe",
            "Non-recoverable from less severe",
            "Non-critical from more severe",
            "Critical from Non-recoverable",
            "Non-recoverable",
            "Monitor",
            "Informational",
        ],
    ),
    (0x08, &["Device Absent", "Device Present"]),
    (0x09, &["Device Disabled", "Device Enabled"]),
    (
        0x0a,
        &[
            "Running",
            "In Test",
            "Power Off",
            "On Line",
            "Off Line",
            "Off Duty",
            "Degraded",
            "Power Save",
            "Install Error",
        ],
    ),
    (
        0x0b,
        &[
            "Fully Redundant",
            "Redundancy Lost",
            "Redundancy Degraded",
            "Non-redundant: enough from redundant",
            "Non-redundant: enough from too few",
            "Non-redundant: too few",
            "Redundancy Degraded from full",
            "Redundancy Degraded from none",
        ],
    ),
    (0x0c, &["D0 Power State", "D1 Power State", "D2 Power State", "D3 Power State"]),
];

/// Events of one type of sensor.
const OF_TYPE: &[(u8, &[&str])] = &[
    (
        0x05,
        &[
            "General chassis intrusion",
            "Drive bay intrusion",
            "I/O card area intrusion",
            "Processor area intrusion",
            "LAN lost",
            "Unauthorized dock",
            "Fan area intrusion",
        ],
    ),
    (
        0x06,
        &[
            "Security violation attempt",
            "User password violation",
            "Setup password violation",
            "Network boot password violation",
            "Other password violation",
            "Out-of-band password violation",
        ],
    ),
    (
        0x07,
        &[
            "IERR",
            "Thermal trip",
            "FRB1/BIST failure",
            "FRB2/hang in POST",
            "FRB3/start-up failure",
            "Configuration error",
            "SMBIOS uncorrectable error",
            "Presence detected",
            "Disabled",
            "Terminator presence",
            "Throttled",
            "Uncorrectable machine check",
            "Correctable machine check",
        ],
    ),
    (
        0x08,
        &[
            "Presence detected",
            "Failure detected",
            "Predictive failure",
            "Input lost",
            "Input lost or out of range",
            "Input out of range",
            "Configuration error",
            "Standby",
        ],
    ),
    (
        0x09,
        &[
            "Power off/down",
            "Power cycle",
            "240VA power down",
            "Interlock power down",
            "AC lost",
            "Soft-power control failure",
            "Failure detected",
            "Predictive failure",
        ],
    ),
    (
        0x0c,
        &[
            "Correctable ECC",
            "Uncorrectable ECC",
            "Parity",
            "Memory scrub failed",
            "Memory device disabled",
            "Correctable ECC logging limit reached",
            "Presence detected",
            "Configuration error",
            "Spare",
            "Throttled",
            "Critical over-temperature",
        ],
    ),
    (
        0x0d,
        &[
            "Drive present",
            "Drive fault",
            "Predictive failure",
            "Hot spare",
            "Consistency check in progress",
            "In critical array",
            "In failed array",
            "Rebuild in progress",
            "Rebuild aborted",
        ],
    ),
    (0x0f, &["POST error", "Hang", "Progress"]),
    (
        0x10,
        &[
            "Correctable memory error logging disabled",
            "Event type logging disabled",
            "Log area reset/cleared",
            "All event logging disabled",
            "Log full",
            "Log almost full",
            "Correctable machine check logging disabled",
        ],
    ),
    (
        0x11,
        &[
            "BIOS reset",
            "OS reset",
            "OS shut down",
            "OS power down",
            "OS power cycle",
            "OS NMI",
            "OS expired",
            "OS pre-timeout NMI",
        ],
    ),
    (
        0x12,
        &[
            "System reconfigured",
            "OEM boot event",
            "Undetermined hardware failure",
            "Entry added to auxiliary log",
            "PEF action",
            "Timestamp clock sync",
        ],
    ),
    (
        0x13,
        &[
            "NMI/diagnostic interrupt",
            "Bus timeout",
            "I/O channel check NMI",
            "Software NMI",
            "PCI PERR",
            "PCI SERR",
            "EISA failsafe timeout",
            "Bus correctable error",
            "Bus uncorrectable error",
            "Fatal NMI",
            "Bus fatal error",
            "Bus degraded",
        ],
    ),
    (
        0x14,
        &[
            "Power button pressed",
            "Sleep button pressed",
            "Reset button pressed",
            "FRU latch open",
            "FRU service",
        ],
    ),
    (0x19, &["Soft power control failure", "Thermal trip"]),
    (0x1b, &["Connected", "Configuration error"]),
    (
        0x1d,
        &[
            "Initiated by power up",
            "Initiated by hard reset",
            "Initiated by warm reset",
            "User requested PXE boot",
            "Automatic boot to diagnostic",
            "OS initiated hard reset",
            "OS initiated warm reset",
            "System restart",
        ],
    ),
    (
        0x1e,
        &[
            "No bootable media",
            "Non-bootable disk in drive",
            "PXE server not found",
            "Invalid boot sector",
            "Timeout waiting for selection",
        ],
    ),
    (
        0x1f,
        &[
            "A: boot completed",
            "C: boot completed",
            "PXE boot completed",
            "Diagnostic boot completed",
            "CD-ROM boot completed",
            "ROM boot completed",
            "Boot completed",
            "Installation started",
            "Installation completed",
            "Installation aborted",
            "Installation failed",
        ],
    ),
    (
        0x20,
        &[
            "Error during system start-up",
            "Run-time critical stop",
            "OS graceful stop",
            "OS graceful shutdown",
            "PEF initiated soft shutdown",
            "Agent not responding",
        ],
    ),
    (
        0x21,
        &[
            "Fault status",
            "Identify status",
            "Device installed",
            "Ready for device installation",
            "Ready for device removal",
            "Slot power is off",
            "Device removal request",
            "Interlock",
            "Slot is disabled",
            "Spare device",
        ],
    ),
    (
        0x22,
        &[
            "S0/G0: working",
            "S1: sleeping, processor context maintained",
            "S2: sleeping, processor context lost",
            "S3: sleeping, memory retained",
            "S4: non-volatile sleep",
            "S5/G2: soft-off",
            "S4/S5: soft-off",
            "G3: mechanical off",
            "Sleeping in S1/S2/S3",
            "G1: sleeping",
            "S5: entered by override",
            "Legacy ON state",
            "Legacy OFF state",
        ],
    ),
    (
        0x23,
        &[
            "Timer expired",
            "Hard reset",
            "Power down",
            "Power cycle",
            "Reserved",
            "Reserved",
            "Reserved",
            "Reserved",
            "Timer interrupt",
        ],
    ),
    (0x25, &["Present", "Absent", "Disabled"]),
    (0x27, &["Heartbeat lost", "Heartbeat"]),
    (
        0x28,
        &[
            "Sensor access degraded or unavailable",
            "Controller access degraded or unavailable",
            "Management controller off-line",
            "Management controller unavailable",
            "Sensor failure",
            "FRU failure",
        ],
    ),
    (0x29, &["Low", "Failed", "Presence detected"]),
    (
        0x2a,
        &[
            "Session activated",
            "Session deactivated",
            "Invalid user name or password",
            "Session disabled: too many failures",
        ],
    ),
    (
        0x2b,
        &[
            "Hardware change detected",
            "Firmware or software change detected",
            "Hardware incompatibility detected",
            "Firmware or software incompatibility detected",
            "Invalid hardware version",
            "Invalid firmware or software version",
            "Hardware change successful",
            "Firmware or software change successful",
        ],
    ),
    (
        0x2c,
        &[
            "Not installed",
            "Inactive",
            "Activation requested",
            "Activation in progress",
            "Active",
            "Deactivation requested",
            "Deactivation in progress",
            "Communication lost",
        ],
    ),
];

pub(super) fn sensor_type(number: u8) -> String {
    match SENSOR_TYPES.get(usize::from(number)) {
        Some(words) => (*words).to_owned(),
        None => format!("Sensor type {number:#04x}"),
    }
}

/// What happened, from the sensor's type, the kind of event, and its three bytes.
pub(super) fn event(sensor_type: u8, kind: u8, data: [u8; 3]) -> String {
    let [first, ..] = data;
    let offset = first & 0x0f;
    let known = if kind == SPECIFIC {
        words(OF_TYPE, sensor_type, offset)
    } else {
        words(GENERIC, kind, offset)
    };
    match known {
        Some(words) => words.to_owned(),
        None => {
            let [first, second, third] = data;
            format!("Event {kind:#04x} with data {first:02x} {second:02x} {third:02x}")
        }
    }
}

/// The words for an offset; for a sensor's state of just now too.
pub(super) fn words(
    table: &[(u8, &'static [&'static str])],
    number: u8,
    offset: u8,
) -> Option<&'static str> {
    let (_, words) = table.iter().find(|(entry, _)| *entry == number)?;
    words.get(usize::from(offset)).copied()
}

/// What the bits of a discrete sensor's state say.
pub(super) fn states(sensor_type: u8, kind: u8, bits: u16) -> String {
    let table = if kind == SPECIFIC { OF_TYPE } else { GENERIC };
    let number = if kind == SPECIFIC { sensor_type } else { kind };
    let set = (0..15_u8).filter(|offset| bits & (1 << offset) != 0);
    let said: Vec<String> = set
        .map(|offset| {
            words(table, number, offset).map_or_else(|| format!("state {offset}"), str::to_owned)
        })
        .collect();
    if said.is_empty() { "ok".to_owned() } else { said.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_of_a_type_and_of_all_types_have_words() {
        assert_eq!(event(0x09, 0x6f, [0, 0xff, 0xff]), "Power off/down");
        assert_eq!(event(0x0c, 0x6f, [0xa1, 0, 0]), "Uncorrectable ECC");
        assert_eq!(event(0x08, 0x0b, [0x01, 0, 0]), "Redundancy Lost");
        assert_eq!(event(0x08, 0x70, [0x01, 2, 3]), "Event 0x70 with data 01 02 03");
    }

    #[test]
    fn types_of_sensors_are_where_the_table_has_them() {
        assert_eq!(sensor_type(0x01), "Temperature");
        assert_eq!(sensor_type(0x23), "Watchdog 2");
        assert_eq!(sensor_type(0x2c), "FRU State");
        assert_eq!(sensor_type(0xc5), "Sensor type 0xc5");
    }

    #[test]
    fn several_states_at_once_are_all_told() {
        assert_eq!(states(0x08, 0x6f, 0b1001), "Presence detected, Input lost");
        assert_eq!(states(0x08, 0x6f, 0), "ok");
    }
}
