//! Faults by hand: lines on standard input of `loadtest up --proxies`.

use std::{io::stdin, thread, time::Duration};

use tokio::sync::mpsc;

use crate::launcher::{FaultProxy, Process, Stack};

/// The lines that a person types. They are read by a thread, because a read of a terminal cannot be given up.
pub(super) struct Console(mpsc::Receiver<String>);

impl Console {
    pub(super) fn open() -> Self {
        let (typed, lines) = mpsc::channel(1);
        thread::spawn(move || {
            for line in stdin().lines().map_while(Result::ok) {
                if typed.blocking_send(line).is_err() {
                    return;
                }
            }
        });
        Self(lines)
    }
}

/// The next line; never, when there is no console or it has ended.
pub(super) async fn next(console: &mut Option<Console>) -> String {
    let line = match console {
        Some(Console(lines)) => lines.recv().await,
        None => None,
    };
    match line {
        Some(line) => line,
        None => std::future::pending().await,
    }
}

/// Does what the line says; returns what to say about it.
pub(super) async fn obey(line: &str, stack: &mut Stack) -> String {
    match *line.split_whitespace().collect::<Vec<_>>() {
        [] => String::new(),
        ["kill", name] => with_process(stack, name, Stack::kill),
        ["stop", name] => with_process(stack, name, |stack, process| stack.stop(process)),
        ["cont", name] => with_process(stack, name, |stack, process| stack.cont(process)),
        ["restart", name] => match process(stack, name) {
            Some(process) => match stack.restart(process).await {
                Ok(()) => format!("{process} is back."),
                Err(error) => error.to_string(),
            },
            None => unknown(stack),
        },
        [link, "latency", ms] => match ms.parse() {
            Ok(ms) => with_proxy(stack, link, |proxy| proxy.latency(Duration::from_millis(ms))),
            Err(_) => "latency: a number of milliseconds is needed".to_owned(),
        },
        [link, "reset"] => with_proxy(stack, link, FaultProxy::reset),
        [link, "refuse"] => with_proxy(stack, link, FaultProxy::refuse),
        [link, "blackhole"] => with_proxy(stack, link, FaultProxy::blackhole),
        [link, "half-open"] => with_proxy(stack, link, FaultProxy::half_open),
        [link, "restore"] => with_proxy(stack, link, FaultProxy::restore),
        _ => unknown(stack),
    }
}

fn with_process(stack: &mut Stack, name: &str, act: impl FnOnce(&mut Stack, Process)) -> String {
    let Some(process) = process(stack, name) else { return unknown(stack) };
    act(stack, process);
    "Done.".to_owned()
}

fn with_proxy(stack: &Stack, name: &str, act: impl FnOnce(&FaultProxy)) -> String {
    let Some((_, proxy)) = stack.proxies().iter().find(|(link, _)| link.to_string() == name) else {
        return unknown(stack);
    };
    act(proxy);
    "Done.".to_owned()
}

fn process(stack: &Stack, name: &str) -> Option<Process> {
    stack.all().into_iter().find(|process| process.to_string() == name)
}

fn unknown(stack: &Stack) -> String {
    let processes: Vec<_> = stack.all().iter().map(ToString::to_string).collect();
    let links: Vec<_> = stack.proxies().keys().map(ToString::to_string).collect();
    format!(
        "kill | stop | cont | restart  of  {}\n{}  with  latency MS | reset | refuse | blackhole | half-open | restore",
        processes.join(" | "),
        links.join(" | ")
    )
}
