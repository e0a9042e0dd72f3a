//! `NPYFEED_CPU`, which a process reads once: each case is a process of its own.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Command;

use npyfeed_kernel::Cpu;

/// Tells the other tests, which run it with the variable set, what came of it.
#[test]
fn what_is_detected_is_printed() {
    println!("[{}] {:?}", Cpu::detect().name(), Cpu::check_setting().map_err(|why| why.to_string()));
}

fn detected_with(value: Option<&str>) -> String {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "what_is_detected_is_printed", "--nocapture"]).env_remove("NPYFEED_CPU");
    if let Some(value) = value {
        child.env("NPYFEED_CPU", value);
    }
    String::from_utf8(child.output().unwrap().stdout).unwrap()
}

#[test]
fn the_best_level_is_detected_where_no_other_is_asked_for() {
    let best = Cpu::available().last().copied().unwrap().name();
    assert!(detected_with(None).contains(&format!("[{best}] Ok(())")));
}

#[test]
fn each_level_of_this_cpu_can_be_asked_for() {
    for cpu in Cpu::available() {
        let name = cpu.name();
        assert!(detected_with(Some(name)).contains(&format!("[{name}] Ok(())")), "{name}");
    }
}

#[test]
fn a_level_that_this_cpu_lacks_is_an_error_that_names_those_it_has() {
    let names: Vec<_> = Cpu::available().into_iter().map(Cpu::name).collect();
    let lacking = if cfg!(target_arch = "aarch64") { "avx2" } else { "neon" };
    for value in [lacking, "AVX2", ""] {
        let found = detected_with(Some(value));
        let expected = format!("'{value}', expected a level that this CPU has ({})", names.join(", "));
        assert!(found.contains(&expected), "{found}");
    }
}
