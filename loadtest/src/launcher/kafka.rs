//! A private broker that speaks Kafka's protocol, for tests of the event bus: tansu, which keeps everything in memory
//! and forgets it with its process.

use std::{net::SocketAddr, net::TcpStream, time::Duration};

use tempfile::TempDir;

use super::{
    StartError, error::LogTail, folder, port::Port, process::Program, process::ServerProcess, process_tree::Ending,
    servers,
};

#[derive(Debug)]
pub struct Kafka {
    process: ServerProcess,
    port: Port,
    /// Removed after the server has ended.
    _temporary: Option<TempDir>,
}

impl Kafka {
    pub async fn start() -> Result<Self, StartError> {
        let path = servers::kafka()?;
        let (folder, temporary) = folder::given_or_temporary(None, NAME, None)?;
        let port = Port::any().map_err(StartError::io(NAME, "choosing a port"))?;
        let address = format!("tcp://{}", port.address());
        let process = ServerProcess::start(Program {
            name: NAME.to_owned(),
            path,
            args: ["broker", "--listener-url", &address, "--advertised-listener-url", &address]
                .into_iter()
                .chain(["--storage-engine", "memory://seatwire/"])
                .map(Into::into)
                .collect(),
            env: Vec::new(),
            account: None,
            log: folder.join("kafka.log"),
            output: None,
            ending: Ending::Kill,
        })?;
        let mut kafka = Self { process, port, _temporary: temporary };
        kafka.wait_ready().await?;
        Ok(kafka)
    }

    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// The server's latest log lines.
    pub fn log_tail(&self) -> LogTail {
        self.process.log_tail()
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again on the same port, without its data.
    pub async fn restart(&mut self) -> Result<(), StartError> {
        self.process.kill();
        self.process.start_again()?;
        self.wait_ready().await
    }

    async fn wait_ready(&mut self) -> Result<(), StartError> {
        let address = self.address();
        self.process.ready(START_PATIENCE, |_| TcpStream::connect_timeout(&address, ANSWER_WITHIN).is_ok()).await
    }
}

const NAME: &str = "kafka";
const START_PATIENCE: Duration = Duration::from_secs(30);
const ANSWER_WITHIN: Duration = Duration::from_millis(500);
