//! A lab by hand and for the tests of this crate:
//!
//! `lab run STATE CACHE [--network bridge|private|existing] [--nodes a,b] [--keep] [--simulated] [--die-with-parent]` ·
//! `lab clean STATE` · `lab template CACHE` · `lab private COMMAND…`

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;

use proximity_pve_emulator::core::TaskTimes;
use proximity_pve_emulator::lab::{self, Guests, LabError, LabOptions, NetworkMode};

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    let verb = args.next().unwrap_or_default();
    if verb == lab::PCT_SUBCOMMAND {
        return ExitCode::from(lab::pct::main(args));
    }
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    let Ok(runtime) = tokio::runtime::Runtime::new() else {
        return ExitCode::FAILURE;
    };
    match runtime.block_on(act(&verb.to_string_lossy(), args.collect())) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn act(verb: &str, rest: Vec<OsString>) -> Result<u8, LabError> {
    let first = || PathBuf::from(rest.first().cloned().unwrap_or_default());
    match verb {
        "run" => lab::run(options(&rest)?).await.map(|()| 0),
        "clean" => lab::clean(&first()).await.map(|()| 0),
        "template" => lab::ensure_template(&first()).await.map(|_| 0),
        "private" => {
            let status = lab::private::enter(rest, Vec::new()).await?;
            Ok(status
                .code()
                .and_then(|code| u8::try_from(code).ok())
                .unwrap_or(1))
        }
        _ => Err(LabError::Refused(format!("unknown verb '{verb}'"))),
    }
}

fn options(rest: &[OsString]) -> Result<LabOptions, LabError> {
    let words: Vec<String> = rest
        .iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let [state, cache, flags @ ..] = words.as_slice() else {
        return Err(LabError::Refused(
            "run needs a state and a cache directory".to_owned(),
        ));
    };
    let value = |name: &str| {
        let at = flags.iter().position(|flag| flag == name)?;
        flags.get(at + 1).cloned()
    };
    let network = match value("--network").as_deref() {
        None | Some("existing") => NetworkMode::Existing,
        Some("bridge") => NetworkMode::Bridge,
        Some("private") => NetworkMode::Private,
        Some(other) => return Err(LabError::Refused(format!("unknown network '{other}'"))),
    };
    let nodes = value("--nodes").unwrap_or_else(|| "pve1".to_owned());
    let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    Ok(LabOptions {
        state_dir: state.into(),
        listen: free,
        ssh_listen: free,
        nodes: nodes.split(',').map(str::to_owned).collect(),
        guests: if flags.iter().any(|flag| flag == "--simulated") {
            Guests::Simulated
        } else {
            Guests::Lxc
        },
        network,
        template_cache: cache.into(),
        registry: value("--registry").map(Into::into),
        task_times: Some(quick()),
        exec_ms: 0,
        keep: flags.iter().any(|flag| flag == "--keep"),
        die_with_parent: flags.iter().any(|flag| flag == "--die-with-parent"),
    })
}

fn quick() -> TaskTimes {
    TaskTimes {
        create_ms: 1,
        start_ms: 1,
        stop_ms: 1,
        shutdown_ms: 1,
        destroy_ms: 1,
        ..TaskTimes::default()
    }
}
