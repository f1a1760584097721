//! `gp_bench SUITE [--quick]`: runs a native suite and prints one JSON object per row.
//! `mix bench` calls it and adds what only the BEAM can measure.

#![forbid(unsafe_code)]

use std::process::ExitCode;

const USAGE: &str = "usage: gp_bench tick|spin [--quick]";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let quick = args.iter().any(|arg| arg == "--quick");
    let print = |row| println!("{}", serde_json::to_string(&row).expect("plain data"));
    match args.first().map(String::as_str) {
        Some("tick") => bench::tick::run(quick, print),
        Some("spin") => bench::spin::run(quick, print),
        Some("--help" | "-h") => println!("{USAGE}"),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}
