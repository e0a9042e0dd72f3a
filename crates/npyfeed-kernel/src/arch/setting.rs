//! `NPYFEED_CPU`: the level to use instead of the best one, for those who look for a difference between CPUs.

use std::sync::OnceLock;

use super::Cpu;

const VARIABLE: &str = "NPYFEED_CPU";

/// `NPYFEED_CPU` asks for what cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{VARIABLE} is '{found}', expected a level that this CPU has ({available}), or no such variable")]
pub struct CpuError {
    found: String,
    available: String,
}

/// The level asked for, `None` if none is; read once, so that all kernels of a process are of one level.
pub(super) fn read() -> &'static Result<Option<Cpu>, CpuError> {
    static SETTING: OnceLock<Result<Option<Cpu>, CpuError>> = OnceLock::new();
    if SETTING.get().is_none() {
        // Not within the cell: who is forked while someone else asks would wait for ever.
        let found = std::env::var_os(VARIABLE).map(|found| parse(&found.to_string_lossy()));
        drop(SETTING.set(found.transpose()));
    }
    SETTING.get_or_init(|| Ok(None))
}

fn parse(found: &str) -> Result<Cpu, CpuError> {
    let available = Cpu::available();
    available.iter().find(|cpu| cpu.name() == found).copied().ok_or_else(|| {
        let names: Vec<&str> = available.iter().map(|cpu| cpu.name()).collect();
        CpuError { found: found.to_owned(), available: names.join(", ") }
    })
}
