//! A small driver of the lab's parts for trying them by hand: `template DIR`, `private COMMAND…`.
use std::ffi::OsString;
use std::process::ExitCode;

use proximity_pve_emulator::lab;

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    let verb = args.next().unwrap_or_default();
    if verb == lab::PCT_SUBCOMMAND {
        return ExitCode::from(lab::pct::main(args));
    }
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
    match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime.block_on(run(verb, args.collect())),
        Err(_) => ExitCode::FAILURE,
    }
}

async fn run(verb: OsString, rest: Vec<OsString>) -> ExitCode {
    let code = match verb.to_str() {
        Some("template") => lab::ensure_template(rest[0].as_ref())
            .await
            .map(|template| {
                tracing::info!(?template, "there");
                0
            }),
        Some("private") => lab::private::enter(rest, Vec::new())
            .await
            .map(|status| status.code().unwrap_or(1)),
        _ => Ok(2),
    };
    match code {
        Ok(code) => ExitCode::from(u8::try_from(code).unwrap_or(1)),
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}
