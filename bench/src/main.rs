//! `gp_bench SUITE [--quick]`: runs a native suite and prints one JSON object per row.
//! `gp_bench edge-load ADDRESS [PATH]`: clients for a server of Phoenix channels, see [`bench::edge`].
//! `mix bench` calls both and adds what only the BEAM can measure.

#![forbid(unsafe_code)]

use std::process::ExitCode;

const USAGE: &str = "usage: gp_bench tick|factory|spin [--quick]\n       gp_bench edge-load ADDRESS [PATH]";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let quick = args.iter().any(|arg| arg == "--quick");
    let print = |row| println!("{}", serde_json::to_string(&row).expect("plain data"));
    match args.first().map(String::as_str) {
        Some("tick") => bench::tick::run(quick, print),
        Some("factory") => bench::factory::run(quick, &mut { print }),
        Some("spin") => bench::spin::run(quick, print),
        Some("edge-load") => return edge_load(&args[1..]),
        Some("--help" | "-h") => println!("{USAGE}"),
        _ => return usage(),
    }
    ExitCode::SUCCESS
}

fn edge_load(args: &[String]) -> ExitCode {
    let (Some(Ok(address)), true) = (args.first().map(|text| text.parse()), args.len() <= 2) else {
        return usage();
    };
    let path = args.get(1).map_or("/socket/websocket", String::as_str);
    match bench::edge::serve(address, path) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("gp_bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> ExitCode {
    eprintln!("{USAGE}");
    ExitCode::from(2)
}
