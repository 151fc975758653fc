//! The gateway's process: configuration, logs, the ready line, the drain.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;
use seatwire_gateway::app::App;
use seatwire_gateway::config::{Args, Config};
use seatwire_gateway::{Listeners, TaskEnded, metrics, run, shutdown, telemetry};
use tokio::net::TcpListener;
use tracing::error;

/// Exit code of a configuration that can't work, as clap uses it too.
const EXIT_CONFIG: u8 = 2;

fn main() -> ExitCode {
    let config = match Config::check(&Args::parse()) {
        Ok(config) => config,
        Err(problems) => {
            eprintln!("seatwire-gateway: {problems}");
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    telemetry::init(&config);
    match serve(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            error!("{failure}");
            ExitCode::FAILURE
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("can't listen on {0}: {1}")]
    Listen(String, std::io::Error),
    #[error("can't start: {0}")]
    Start(#[from] std::io::Error),
    #[error("can't record metrics: {0}")]
    Metrics(String),
    #[error(transparent)]
    Run(#[from] TaskEnded),
}

#[tokio::main]
async fn serve(config: Config) -> Result<(), Failure> {
    let listeners = Listeners { public: listen(&config.listen).await?, metrics: listen(&config.metrics_listen).await? };
    let (address, metrics_address) = (listeners.public.local_addr()?, listeners.metrics.local_addr()?);
    let recorder = metrics::install().map_err(|error| Failure::Metrics(error.to_string()))?;
    let app = App::new(config, address, recorder);
    let (gateway, metrics, pid) = (address.to_string(), metrics_address.to_string(), std::process::id());
    let ready = serde_json::json!({"ready": true, "gateway": gateway, "gateway_metrics": metrics, "pid": pid});
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{ready}").and_then(|()| stdout.flush())?;
    run(app, listeners, async {
        if let Err(error) = shutdown::signalled().await {
            error!(%error, "signals can't be listened to");
            std::future::pending::<()>().await;
        }
    })
    .await?;
    Ok(())
}

async fn listen(address: &str) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| Failure::Listen(address.to_owned(), error))
}
